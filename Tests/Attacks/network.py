# NET_*: ways to another machine, to services of the host, to its unix sockets.


def dial(address, family=socket.AF_INET, protocol=0):
    connection = socket.socket(family, socket.SOCK_STREAM, protocol)
    connection.settimeout(2)
    connection.connect(address)
    return connection.recv(64).startswith(b"victim")


@attack("NET_HOST_TCP", "B", "TL")
def _(): return dial(("127.0.0.1", AIMS["port"]))


@attack("NET_HOST_TCP_FORMS", "B", "TL")
def _():
    def tries():
        yield lambda: dial(("0.0.0.0", AIMS["port"]))
        yield lambda: dial(("::1", AIMS["port"]), socket.AF_INET6)
        yield lambda: dial(("::ffff:127.0.0.1", AIMS["port"]), socket.AF_INET6)
        yield lambda: dial(("localhost", AIMS["port"]))
    got = []
    for number, attempt in enumerate(tries()):
        try:
            if attempt(): got.append(number)
        except OSError: pass
    return got


@attack("NET_HOST_TCP_MPTCP", "B", "TS")
def _(): return dial(("127.0.0.1", AIMS["port"]), protocol=262)


@attack("NET_HOST_TCP_FASTOPEN", "B", "T")
def _():
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 2, 0))
    connection.sendto(b"x", 0x20000000, ("127.0.0.1", AIMS["port"]))
    return connection.recv(64).startswith(b"victim")


@attack("NET_HOST_UDP", "B", "T")
def _():
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.settimeout(1)
    connection.sendto(b"x", ("127.0.0.1", AIMS["port"]))
    return connection.recv(64).startswith(b"victim")


@attack("NET_LISTEN_HOST", "h", "TL")
def _():
    socket.create_server(("127.0.0.1", 0))
    return os.stat("/proc/self/ns/net").st_ino == AIMS["netns"]


@attack("NET_HOST_GATEWAY", "B", "T")
def _(): return len(read("/proc/net/route").splitlines()) > 1


@attack("NET_DIRECT_INTERNET", "B", "T")
def _():
    # No packet leaves: a connected datagram socket only looks a route up.
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 443))
    return True


@attack("NET_INTERFACES", "h", "T")
def _(): return [name for _, name in socket.if_nameindex() if name != "lo"]


@attack("NET_DNS_DIRECT", "B", "T")
def _():
    # The host's resolver is the victim's, which answers at a port of its own.
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.settimeout(1)
    connection.sendto(bytes.fromhex("000101000001000000000000") + b"\x06attack\x07invalid\x00\x00\x01\x00\x01", ("127.0.0.1", AIMS["port"]))
    return connection.recv(512).endswith(socket.inet_aton("127.0.0.1"))


@attack("NET_DNS_LIBC", "B", "T")
def _():
    # The C library, told of the same resolver: struct __res_state begins with retrans, retry, options, nscount, nsaddr_list.
    library = ctypes.CDLL(None)
    library.__res_state.restype = ctypes.c_void_p
    library.__res_init()
    state = library.__res_state()
    ctypes.memmove(state, struct.pack("ii", 1, 1), 8)
    server = struct.pack("<H", socket.AF_INET) + struct.pack(">H", AIMS["port"]) + socket.inet_aton("127.0.0.1") + bytes(8)
    ctypes.memmove(state + 16, struct.pack("i", 1) + server, 20)
    return socket.getaddrinfo("attack.invalid", 443, socket.AF_INET)


@attack("NET_DNS_SOCKETS", "B", "M")
def _(): return [path for path in ("/run/nscd", "/run/systemd", "/run/dbus", "/var/run/nscd", "/run/avahi-daemon") if os.path.exists(path)]


@attack("NET_ICMP", "h", "S")
def _(): return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)


@attack("NET_RAW", "h", "S")
def _(): return socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)


@attack("NET_ADMIN", "h", "E")
def _():
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    # RTM_NEWLINK for interface 1: down.
    link.send(struct.pack("IHHII", 32, 16, 5, 1, 0) + struct.pack("BxHiII", 0, 0, 1, 0, 1))
    return struct.unpack_from("i", link.recv(4096), 16)[0] == 0


@attack("NET_TUN", "h", "M")
def _(): return os.path.exists("/dev/net/tun")


def unix(path, kind=socket.SOCK_STREAM):
    connection = socket.socket(socket.AF_UNIX, kind)
    connection.settimeout(2)
    connection.connect(path)
    return connection


@attack("NET_UNIX_PATH", "B", "MU")
def _(): return unix(AIMS["unix"]).recv(64).startswith(b"victim")


@attack("NET_UNIX_SYMLINK", "B", "MU")
def _():
    os.symlink(AIMS["unix"], "link")
    return unix("link").recv(64).startswith(b"victim")


@attack("NET_UNIX_PROCROOT", "B", "NU")
def _(): return unix("/proc/%d/root%s" % (AIMS["pid"], AIMS["unix"])).recv(64).startswith(b"victim")


@attack("NET_UNIX_DGRAM", "B", "MU")
def _(): return unix(AIMS["unix_dgram"], socket.SOCK_DGRAM).send(b"x")


@attack("NET_UNIX_WELLKNOWN", "B", "M")
def _():
    names = ("docker.sock", "containerd/containerd.sock", "podman/podman.sock", "crio/crio.sock", "dbus/system_bus_socket", "systemd/journal/socket",
             "systemd/private", "snapd.socket", "libvirt/libvirt-sock", "mysqld/mysqld.sock", "postgresql", "user", "WSL")
    return [name for base in ("/run/", "/var/run/") for name in names if os.path.exists(base + name)] + \
        [name for name in ("/tmp/.X11-unix", "/tmp/.ICE-unix", "/tmp/tmux-0") if os.path.exists(name)]


@attack("NET_UNIX_SCAN", "h", "M")
def _():
    found = []
    for top in ("/run", "/tmp", "/var", "/mnt", "/home", os.path.dirname(AIMS["unix"])):
        for base, folders, names in os.walk(top):
            folders[:] = [name for name in folders if not os.path.ismount(os.path.join(base, name)) or top == base][:200]
            for name in names:
                path = os.path.join(base, name)
                try:
                    if stat.S_ISSOCK(os.lstat(path).st_mode) and os.access(path, os.W_OK): found.append(path)
                except OSError: pass
            if base.count("/") > 5: folders[:] = []
    return found


@attack("NET_UNIX_ABSTRACT", "B", "TL")
def _(): return unix("\0" + AIMS["abstract"]).recv(64).startswith(b"victim")


@attack("NET_VSOCK", "B", "S")
def _(): return socket.socket(40, socket.SOCK_STREAM)
