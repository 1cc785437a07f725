# The frame of the attack suite: attacks are functions that give something true when they have got what they were after. Each runs in
# a process and a folder of its own. The files of this folder are joined, harness first, and given to one Python inside a sandbox:
#   cat harness.py files.py privilege.py kernel.py network.py resources.py run.py | postern sandbox run -- python3 - '{…aims…}'
# Those of proxy.py are run by Tests/Perimeter/test_attacks.py, under a worker and its proxy.
import ctypes, errno, json, os, resource, select, shutil, signal, socket, stat, struct, subprocess, sys, tempfile, time

AIMS = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
ROWS = []
libc = ctypes.CDLL(None, use_errno=True)


class Absent(Exception):
    """The attack cannot be tried here: the kernel or a program that it needs is not there."""


class Broken(Exception):
    """The row says nothing: what has to work for it to be an attack does not."""


def attack(name, kind, layers, only_all=False, only_named=False):
    """A row of the threat table. `kind`: B boundary, h hardening. `layers`: each of them alone is to stop it, of M mounts, N namespaces,
    T network namespace, S seccomp, L Landlock, U another user; E means the init itself, always; C control groups, quotas and the like,
    P the proxy, W what the worker does outside. `only_all`: not run where layers are off. `only_named`: run when the aims name it, since
    it ends by everything around it being killed."""
    def add(function):
        ROWS.append((name, kind, layers, only_all, only_named, function))
        return function
    return add


def sy(number, *arguments):
    """A raw system call (x86_64 number); its result, or OSError."""
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def reached(number, *arguments, refusals=(errno.EPERM, errno.ENOSYS)):
    """True when the kernel has begun to carry a call out: it fails over its arguments and not over the call itself."""
    try:
        sy(number, *arguments)
        return True
    except OSError as error:
        return error.errno not in refusals


def run(*command, **options):
    """Runs a program; true when it succeeds. Absent when it is not installed."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=4, **options).returncode == 0
    except FileNotFoundError:
        raise Absent(command[0])


def read(path):
    with open(path, "rb") as file:
        return file.read(1 << 16)


def is_secret(data):
    """Whether `data` holds the secret's mark. The mark itself is the reverse of what the aims say, so that it is in no process here."""
    return AIMS["mark"].encode()[::-1] in data


def victims():
    """Processes that can be seen and are not of this sandbox: the aims name one of them."""
    return [AIMS["pid"]]


def in_child(function):
    """Runs a function in a process and a folder of its own; (state, detail)."""
    folder = tempfile.mkdtemp(dir=".", prefix="attack-")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.setsid()
        signal.alarm(AIMS.get("seconds", 8))
        os.chdir(folder)
        try:
            got = function()
            answer = ("passed" if got else "stopped", repr(got)[:200])
        except Absent as reason:
            answer = ("absent", str(reason))
        except Broken as reason:
            answer = ("broken", str(reason))
        except BaseException as error:
            answer = ("stopped", "%s: %s" % (type(error).__name__, error))
        try:
            os.write(writer, json.dumps(answer).encode()[:4000])
        finally:
            os._exit(0)
    os.close(writer)
    data = b""
    while True:
        part = os.read(reader, 4096)
        if not part:
            break
        data += part
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    shutil.rmtree(folder, ignore_errors=True)
    if data:
        return json.loads(data)
    return ("stopped", "signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "no answer")
