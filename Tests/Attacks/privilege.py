# FS_SUID*, NS_* and PROC_*: privileges, namespaces, other processes.
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000


def mode_after(function):
    """Whether a file of ours has set-id bits after `function`."""
    function()
    return os.stat("f").st_mode & 0o6000


@attack("FS_SUID_CHMOD", "h", "S")
def _():
    open("f", "w").close()
    return mode_after(lambda: os.chmod("f", 0o6755))


@attack("FS_SUID_FCHMOD", "h", "S")
def _(): return mode_after(lambda: os.fchmod(os.open("f", os.O_CREAT | os.O_WRONLY), 0o4755))


@attack("FS_SUID_FCHMODAT2", "h", "S")
def _():
    open("f", "w").close()
    return mode_after(lambda: sy(452, -100, ctypes.c_char_p(b"f"), 0o4755, 0))


@attack("FS_SUID_OPEN", "h", "S")
def _(): return mode_after(lambda: os.open("f", os.O_CREAT | os.O_WRONLY, 0o4755))


@attack("FS_SUID_OPENAT2", "h", "S")
def _():
    how = ctypes.create_string_buffer(struct.pack("QQQ", os.O_CREAT | os.O_WRONLY, 0o4755, 0))
    return mode_after(lambda: sy(437, -100, ctypes.c_char_p(b"f"), how, 24))


@attack("FS_SUID_CREAT", "h", "S")
def _(): return mode_after(lambda: sy(85, ctypes.c_char_p(b"f"), 0o4755))


@attack("FS_SUID_MKNOD", "h", "S")
def _(): return mode_after(lambda: os.mknod("f", stat.S_IFREG | 0o4755))


@attack("FS_FILE_CAPS", "B", "E")
def _():
    open("f", "w").close()
    os.setxattr("f", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    return True


@attack("FS_MKNOD", "B", "SL")
def _():
    os.mknod("b", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    return True


@attack("FS_PROC_EXE_WRITE", "B", "E")
def _():
    open("/proc/%d/exe" % AIMS["init"], "r+b")
    return True


@attack("FS_CORE_PATTERN_PIPE", "h", "E")
def _(): return resource.getrlimit(resource.RLIMIT_CORE) not in ((0, 0), (1, 1))


@attack("NS_MOUNT_DIRECT", "B", "SL")
def _(): return reached(165, ctypes.c_char_p(b"none"), ctypes.c_char_p(b"/"), 0, 4096 | 32, 0)


def mapped(flags):
    """Enters new namespaces as their root."""
    uid, gid = os.getuid(), os.getgid()
    sy(272, NEWUSER | flags)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % uid), ("gid_map", "0 %d 1" % gid)):
        try:
            with open("/proc/self/" + name, "w") as file: file.write(text)
        except OSError: pass


@attack("NS_USERNS_MOUNT", "B", "SL")
def _():
    mapped(NEWNS)
    os.mkdir("m")
    sy(165, ctypes.c_char_p(b"none"), ctypes.c_char_p(b"m"), ctypes.c_char_p(b"tmpfs"), 0, 0)
    return True


@attack("NS_USERNS", "h", "S")
def _(): return sy(272, NEWUSER) == 0


@attack("NS_USERNS_CLONE", "h", "S")
def _():
    child = sy(56, NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0: os._exit(0)
    return child


@attack("NS_USERNS_CLONE3", "h", "S")
def _():
    arguments = ctypes.create_string_buffer(struct.pack("8Q", NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0))
    child = sy(435, arguments, 64)
    if child == 0: os._exit(0)
    return child


@attack("NS_USERNS_NETADMIN", "h", "S")
def _():
    mapped(NEWNET)
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)


@attack("NS_SETNS", "B", "S")
def _(): return reached(308, -1, 0)


@attack("NS_SETNS_VICTIM", "B", "NSLU")
def _():
    space = os.open("/proc/%d/ns/net" % AIMS["pid"], os.O_RDONLY)
    return reached(308, space, NEWUTS)


@attack("NS_NEW_MOUNT_API", "h", "S")
def _(): return sy(428, -100, ctypes.c_char_p(b"/"), 0)


@attack("NS_STATMOUNT", "h", "S")
def _(): return reached(458, 0, 0, 0, 0)


@attack("NS_CGROUP_ESCAPE", "B", "M")
def _(): return os.listdir("/sys/fs/cgroup")


@attack("NS_CGROUP_MOUNT", "B", "SL")
def _():
    mapped(NEWNS | NEWCGROUP)
    os.mkdir("m")
    sy(165, ctypes.c_char_p(b"none"), ctypes.c_char_p(b"m"), ctypes.c_char_p(b"cgroup2"), 0, 0)
    return True


def status(field, pid="self"):
    for line in read("/proc/%s/status" % pid).decode().splitlines():
        if line.startswith(field + ":"): return line.split(None, 1)[1]


@attack("PROC_NNP", "h", "E")
def _(): return status("NoNewPrivs") != "1"


@attack("PROC_SECCOMP", "h", "S")
def _(): return status("Seccomp") != "2"


@attack("PROC_CAPS", "h", "E")
def _(): return [name for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if int(status(name), 16)]


@attack("PROC_CAPS_BOUNDING", "h", "N")
def _(): return int(status("CapBnd"), 16)


@attack("PROC_HOST_ROOT", "B", "U")
def _(): return os.access("/proc/sys/kernel/core_pattern", os.W_OK) or os.getuid() == 0


@attack("PROC_SUID_EXEC", "h", "E")
def _():
    program = shutil.which("su") or shutil.which("sudo")
    if program is None: raise Absent("su")
    child = subprocess.Popen([program, "-c", "true"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    got = False
    for _ in range(40):
        if child.poll() is not None: break
        line = status("Uid", child.pid)
        if line is None: break
        got = got or line.split()[1] == "0"
        time.sleep(0.005)
    child.kill()
    return got


@attack("PROC_SEE_HOST", "B", "N")
def _(): return b"victim" in read("/proc/%d/cmdline" % AIMS["pid"])


@attack("PROC_SIGNAL_HOST", "B", "NLU")
def _():
    os.kill(AIMS["pid"], 0)
    return True


@attack("PROC_SIGNAL_PIDFD", "B", "NLU")
def _():
    signal.pidfd_send_signal(os.pidfd_open(AIMS["pid"]), 0)
    return True


@attack("PROC_SIGNAL_INIT", "B", "N", only_all=True)
def _():
    for number in (9, 15, 19): os.kill(1, number)
    time.sleep(0.02)
    return status("State", 1)[0] not in "SR"


@attack("PROC_PTRACE", "B", "NSLU")
def _(): return sy(101, 0x4206, AIMS["pid"], 0, 0) == 0


@attack("PROC_MEM", "B", "NLU")
def _(): return open("/proc/%d/mem" % AIMS["pid"], "r+b")


@attack("PROC_MEM_INIT", "B", "E")
def _(): return open("/proc/%d/mem" % AIMS["init"], "r+b")


@attack("PROC_ENVIRON_INIT", "B", "E")
def _(): return read("/proc/%d/environ" % AIMS["init"]) or os.listdir("/proc/%d/fd" % AIMS["init"])


def vm_access(number):
    buffer = ctypes.create_string_buffer(8)
    local = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(buffer), 8))
    remote = ctypes.create_string_buffer(struct.pack("QQ", 8, 8))
    return reached(number, AIMS["pid"], local, 1, remote, 1, 0, refusals=(errno.EPERM, errno.ESRCH))


@attack("PROC_VM_READV", "B", "NSLU")
def _(): return vm_access(310)


@attack("PROC_VM_WRITEV", "B", "NSLU")
def _(): return vm_access(311)


@attack("PROC_PIDFD_GETFD", "B", "NSLU")
def _():
    copy = sy(438, os.pidfd_open(AIMS["pid"]), AIMS["fd"], 0)
    return is_secret(os.pread(copy, 4096, 0))


@attack("PROC_KCMP", "h", "NSLU")
def _(): return sy(312, AIMS["pid"], os.getpid(), 1, 0, 0) >= 0


@attack("PROC_MADVISE", "h", "S")
def _(): return reached(440, os.pidfd_open(os.getpid()), 0, 0, 20, 0)


@attack("PROC_LIMITS", "h", "NU")
def _(): return resource.prlimit(AIMS["pid"], resource.RLIMIT_NOFILE)


@attack("PROC_SCHED", "h", "E")
def _():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return True


@attack("PROC_TTY_CALLER", "B", "E")
def _():
    # The frame has made a session of its own; its parent's terminal is asked for by name.
    return open("/proc/%d/stat" % AIMS["init"]).read().split(")")[1].split()[4] != "0"


@attack("PROC_TTY_INJECT", "B", "S")
def _():
    import fcntl
    _, follower = os.openpty()
    fcntl.ioctl(follower, 0x540E, 0)
    fcntl.ioctl(follower, 0x5412, b"x")
    return True


@attack("PROC_TTY_INJECT_HIGH", "B", "S")
def _():
    import fcntl
    _, follower = os.openpty()
    fcntl.ioctl(follower, 0x540E, 0)
    # The kernel looks at the low half only; a filter that compares 64 bits does not see it.
    return sy(16, follower, 0x100005412, ctypes.c_char_p(b"x")) == 0
