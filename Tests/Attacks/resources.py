# RES_*: what one session may take from the others. Only with all layers; the limits are small ones, set by the test.


@attack("RES_FORK", "B", "C", only_all=True)
def _():
    children = []
    try:
        while len(children) < 2000:
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    except OSError as error:
        if error.errno != errno.EAGAIN: raise
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)
    return len(children) >= 2000


def fill(path, most):
    """Bytes that could be written, at most `most`."""
    written, block = 0, bytes(1 << 20)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with open(path, "wb", 0) as file:
            while written < most: written += file.write(block)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT): raise
    os.unlink(path)
    return written


@attack("RES_FILE_SIZE", "B", "E", only_all=True)
def _(): return fill("big", 64 << 20) >= 64 << 20


@attack("RES_TMPFS", "B", "M", only_all=True)
def _(): return fill("/tmp/big", 64 << 20) >= 64 << 20 or fill("/dev/shm/big", 64 << 20) >= 64 << 20


@attack("RES_TMPFS_MANY", "B", "M", only_all=True)
def _():
    total = 0
    for number in range(40): total += fill_kept("/tmp/f%d" % number, 2 << 20)
    for number in range(40): os.unlink("/tmp/f%d" % number)
    return total >= 64 << 20


def fill_kept(path, most):
    try:
        with open(path, "wb", 0) as file: return file.write(bytes(most))
    except OSError: return 0


@attack("RES_FDS", "h", "E", only_all=True)
def _():
    opened = []
    try:
        while len(opened) < 6000: opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        if error.errno != errno.EMFILE: raise
    return len(opened) >= 6000


@attack("RES_LOCKED", "h", "E", only_all=True)
def _():
    buffer = ctypes.create_string_buffer(64 << 20)
    if libc.mlock(buffer, 64 << 20) == 0: return True
    raise OSError(ctypes.get_errno(), "mlock")


@attack("RES_LIMITS_RAISED", "B", "E", only_all=True)
def _():
    got = []
    for name in ("NPROC", "NOFILE", "FSIZE", "CORE", "MEMLOCK"):
        which = getattr(resource, "RLIMIT_" + name)
        try:
            resource.setrlimit(which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            got.append(name)
        except (OSError, ValueError): pass
    return got


def beyond(limit_met):
    """Whether a limit that is measured, not refused, is left alone: who goes beyond it is killed, with all around it."""
    if not limit_met: return False
    signal.alarm(0)
    time.sleep(AIMS["patience"])
    return True


@attack("RES_DISK", "B", "C", only_all=True, only_named=True)
def _(): return beyond(sum(fill_kept("fill-%d" % number, 16 << 20) for number in range(6)) >= 96 << 20)


@attack("RES_INODES", "h", "C", only_all=True, only_named=True)
def _():
    for number in range(5000):
        try: open("file-%d" % number, "w").close()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT): return False
            raise
    return beyond(True)


@attack("RES_MEMORY", "B", "C", only_all=True)
def _():
    taken = []
    while len(taken) < 128: taken.append(b"x" * (8 << 20))
    return True
