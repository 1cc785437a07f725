# FS_* and ENV_*: files, folders and variables of the host.


@attack("FS_READ_DIRECT", "B", "MLU")
def _(): return is_secret(read(AIMS["secret"]))


@attack("FS_READ_SYMLINK", "B", "MLU")
def _():
    os.symlink(AIMS["secret"], "link")
    return is_secret(read("link"))


@attack("FS_READ_RELATIVE_DOTDOT", "B", "MLU")
def _(): return is_secret(read("../" * 40 + AIMS["secret"]))


@attack("FS_READ_HARDLINK", "B", "MLU")
def _():
    try:
        if os.stat(AIMS["secret"]).st_dev != os.stat(".").st_dev: raise Absent("workspace and victim are on two file systems")
    except FileNotFoundError: pass
    os.link(AIMS["secret"], "hard")
    return is_secret(read("hard"))


@attack("FS_READ_PROC_ROOT", "B", "NLU")
def _(): return is_secret(read("/proc/%d/root%s" % (AIMS["pid"], AIMS["secret"])))


@attack("FS_READ_INIT_ROOT", "B", "E")
def _(): return os.listdir("/proc/%d/root/" % AIMS.get("init", 1))


@attack("FS_READ_PROC_FD", "B", "NLU")
def _(): return is_secret(read("/proc/%d/fd/%d" % (AIMS["pid"], AIMS["fd"])))


@attack("FS_READ_PROC_CWD", "B", "NLU")
def _(): return is_secret(read("/proc/%d/cwd/secret" % AIMS["pid"]))


@attack("FS_FD_INHERITED", "h", "E")
def _():
    own = os.open("/proc/self/fd", os.O_RDONLY)
    others = [fd for fd in map(int, os.listdir(own)) if fd not in (0, 1, 2, own)]
    # The frame's own pipe is 4 at most; anything else came from outside.
    return [fd for fd in others if os.path.exists("/proc/self/fd/%d" % fd) and not os.readlink("/proc/self/fd/%d" % fd).startswith("pipe:")]


@attack("FS_READ_OTHER_SESSION", "B", "MU")
def _(): return os.listdir(AIMS["session"])


@attack("FS_READ_HOME_CREDS", "h", "MU")
def _(): return is_secret(read(AIMS["home"] + "/.ssh/id_ed25519"))


@attack("FS_READ_SYSTEM_SECRETS", "B", "MU")
def _(): return any(os.access(p, os.R_OK) for p in ("/etc/shadow", "/etc/gshadow", "/etc/ssh/ssh_host_ed25519_key", "/root"))


@attack("FS_READ_SERVICE_ACCOUNT", "B", "M")
def _(): return any(os.path.exists(p) for p in ("/var/run/secrets", "/run/secrets", "/var/lib", "/run/credentials"))


@attack("FS_READ_DEVICES", "B", "M")
def _():
    allowed = {"null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "fd", "core", "stdin", "stdout", "stderr", "console"}
    return set(os.listdir("/dev")) - allowed


@attack("FS_READ_KERNEL", "h", "M")
def _(): return [name for name in ("keys", "key-users", "kallsyms", "modules", "cmdline", "interrupts", "timer_list") if can_read("/proc/" + name)]


def can_read(path):
    try: return bool(read(path))
    except OSError: return False


@attack("FS_OPEN_BY_HANDLE", "B", "S")
def _():
    # From 5.6 on the kernel lets the owner of a namespace do this: taking a handle is what is refused here, before opening one.
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    return reached(303, -100, ctypes.c_char_p(b"/usr"), ctypes.byref(handle), ctypes.byref(mount), 0)


@attack("FS_CHROOT_ESCAPE", "B", "S")
def _():
    return reached(161, ctypes.c_char_p(b"."), refusals=(errno.EPERM,))


@attack("FS_SYSLOG", "h", "S")
def _():
    buffer = ctypes.create_string_buffer(4096)
    return reached(103, 3, buffer, 4096)


@attack("FS_TMP_SHARED", "B", "M")
def _(): return is_secret(read(AIMS["tmp"])) or os.path.exists(AIMS["tmp"])


@attack("FS_SHM_SHARED", "B", "M")
def _(): return os.path.exists(AIMS["shm"])


@attack("ENV_SECRET_VALUE", "B", "NU")
def _():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("environ", "cmdline"):
            try:
                if is_secret(read("/proc/%s/%s" % (pid, name))): return pid
            except OSError: pass


@attack("ENV_SECRET_NAMES", "h", "E")
def _():
    words = ("KEY", "SECRET", "TOKEN", "PASSWORD", "SSH_AUTH_SOCK", "DISPLAY", "DBUS", "ANTHROPIC", "POSTERN")
    return [name for name in os.environ if any(word in name.upper() for word in words)]


@attack("ENV_LOADER", "h", "E")
def _():
    names = ("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "NODE_OPTIONS", "BASH_ENV", "ENV", "PYTHONSTARTUP", "PROMPT_COMMAND", "GCONV_PATH")
    return [name for name in names if name in os.environ] or os.path.exists("/etc/ld.so.preload")


@attack("FS_WRITE_DIRECT", "B", "MLU")
def _():
    open(AIMS["outside"] + "/x", "w").close()
    return True


@attack("FS_WRITE_SYMLINK", "B", "MLU")
def _():
    os.symlink(AIMS["outside"] + "/x", "link")
    open("link", "w").close()
    return True


@attack("FS_WRITE_DIRSWAP", "B", "MLU")
def _():
    os.mkdir("d")
    os.rename("d", "e")
    os.symlink(AIMS["outside"], "d")
    open("d/x", "w").close()
    return True


@attack("FS_WRITE_RENAME", "B", "MLU")
def _():
    open("f", "w").close()
    os.rename("f", AIMS["outside"] + "/f")
    return True


@attack("FS_WRITE_META", "B", "MU")
def _():
    os.utime(AIMS["outside"])
    os.chmod(AIMS["outside"], 0o711)
    return True


@attack("FS_WRITE_TRUNCATE", "B", "MLU")
def _():
    os.truncate(AIMS["outside"] + "/kept", 0)
    return True


@attack("FS_WRITE_XATTR", "B", "MU")
def _():
    os.setxattr(AIMS["outside"], "user.attack", b"x")
    return True


@attack("FS_WRITE_PROC_ROOT", "B", "NLU")
def _():
    open("/proc/%d/root%s/x" % (AIMS["pid"], AIMS["outside"]), "w").close()
    return True


@attack("FS_WRITE_SYSTEM", "B", "MU")
def _():
    places = ("/etc", "/usr", "/usr/local/bin", "/bin", "/lib", "/etc/cron.d", "/etc/systemd/system", "/var", "/dev", "/run", "/home", "/mnt")
    return [place for place in places if os.access(place, os.W_OK)]


@attack("FS_WRITE_ROOTDIR", "h", "MU")
def _():
    os.mkdir("/attack")
    return True


@attack("FS_WRITE_SHELLRC", "h", "MLU")
def _():
    open(AIMS["home"] + "/.bashrc", "a").close()
    return True


@attack("FS_WRITE_PROC_SYS", "B", "MU")
def _():
    names = ("kernel/core_pattern", "kernel/modprobe", "kernel/sysrq", "vm/drop_caches", "kernel/hostname")
    return [name for name in names if can_write("/proc/sys/" + name)]


@attack("FS_WRITE_SYSRQ", "B", "MU")
def _(): return can_write("/proc/sysrq-trigger")


def can_write(path):
    try:
        os.close(os.open(path, os.O_WRONLY))
        return True
    except OSError:
        return False


@attack("FS_WRITE_SYSFS", "B", "M")
def _(): return os.listdir("/sys")


@attack("FS_IMMUTABLE", "h", "E")
def _():
    # A file that nobody can remove any more.
    import fcntl
    file = os.open("f", os.O_CREAT | os.O_RDWR)
    fcntl.ioctl(file, 0x40086602, struct.pack("l", 0x10))
    return True
