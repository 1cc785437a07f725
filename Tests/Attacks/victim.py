# A process of the host with all that an attack is after; tells what it has on standard output and lives until standard input ends.
import ctypes, json, os, socket, sys, threading

folder, mark, name = sys.argv[1], sys.argv[2], sys.argv[3]
libc = ctypes.CDLL(None, use_errno=True)
secret = (mark[::-1] + "\n").encode()
# Its number is to be none that a process inside a namespace of its own would have by chance.
while os.getpid() < 3000:
    child = os.fork()
    if child:
        ended = os.waitpid(child, 0)[1] >> 8
        if ended != 75: os._exit(ended)
    elif os.getpid() < 3000:
        os._exit(75)
os.makedirs(folder + "/session", 0o700)
os.makedirs(folder + "/outside", 0o700)
os.makedirs(folder + "/home/.ssh", 0o700)
for path in ("/secret", "/session/secret", "/home/.ssh/id_ed25519", "/outside/kept"):
    with open(os.open(folder + path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file: file.write(secret)
for path in ("/tmp/" + name, "/dev/shm/" + name):
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644), "wb") as file: file.write(secret)
os.chdir(folder)
kept = os.open(folder + "/secret", os.O_RDONLY)


def serve(listener):
    while True:
        connection, _ = listener.accept()
        connection.send(b"victim\n")
        connection.close()


def resolved(query):
    """A resolver's answer: every name is 127.0.0.1."""
    question = query[12:query.index(b"\0", 12) + 5]
    return query[:2] + bytes.fromhex("8180000100010000" "0000") + question + bytes.fromhex("c00c00010001000000010004" "7f000001")


def answer(listener):
    while True:
        message, peer = listener.recvfrom(512)
        listener.sendto(resolved(message) if b"\x07invalid\0" in message else b"victim\n", peer)


four = socket.create_server(("127.0.0.1", 0))
port = four.getsockname()[1]
listeners = [four]
try:
    six = socket.socket(socket.AF_INET6)
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    six.bind(("::1", port))
    six.listen()
    listeners.append(six)
except OSError: pass
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagram.bind(("127.0.0.1", port))
path = socket.socket(socket.AF_UNIX)
path.bind(folder + "/socket")
path.listen()
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\0" + name)
abstract.listen()
unix_datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
unix_datagram.bind(folder + "/datagram")
for listener in listeners + [path, abstract]: threading.Thread(target=serve, args=(listener,), daemon=True).start()
threading.Thread(target=answer, args=(datagram,), daemon=True).start()

libc.shmat.restype = ctypes.c_void_p
shm_key = 0x50000000 | os.getpid()
segment = libc.shmget(shm_key, 4096, 0o1600)
ctypes.memmove(libc.shmat(segment, None, 0), secret, len(secret))
libc.mq_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
libc.syscall(240, ctypes.c_char_p(name.encode()), os.O_CREAT | os.O_RDWR, 0o600, None)
libc.syscall(248, ctypes.c_char_p(b"user"), ctypes.c_char_p(name.encode()), ctypes.c_char_p(secret), len(secret), ctypes.c_long(-4))
print(json.dumps({
    "pid": os.getpid(), "mark": mark, "secret": folder + "/secret", "outside": folder + "/outside", "session": folder + "/session",
    "home": folder + "/home", "tmp": "/tmp/" + name, "shm": "/dev/shm/" + name, "fd": kept, "port": port, "unix": folder + "/socket",
    "unix_dgram": folder + "/datagram", "abstract": name, "shm_key": shm_key, "mqueue": name, "key": name, "session_key": name + "-session",
    "netns": os.stat("/proc/self/ns/net").st_ino}), flush=True)
sys.stdin.read()
libc.shmctl(segment, 0, None)
libc.syscall(241, ctypes.c_char_p(name.encode()))
for path in ("/tmp/" + name, "/dev/shm/" + name):
    try: os.unlink(path)
    except OSError: pass
