# SYS_*: the kernel's surface, beyond what tools need.


@attack("SYS_IO_URING", "h", "S")
def _():
    return sy(425, 1, ctypes.create_string_buffer(120))


@attack("SYS_BPF", "h", "S")
def _(): return reached(321, 0, 0, 0)


@attack("SYS_PERF", "h", "S")
def _():
    attributes = ctypes.create_string_buffer(struct.pack("IIQQQQQ", 1, 64, 1, 0, 0, 0, 0x60) + bytes(80))
    return sy(298, attributes, 0, -1, -1, 0)


@attack("SYS_USERFAULTFD", "h", "S")
def _(): return sy(323, 1)


@attack("SYS_FANOTIFY", "h", "S")
def _(): return sy(300, 0x200, 0)


@attack("SYS_MODULE", "B", "S")
def _(): return reached(313, -1, 0, 0) or reached(175, 0, 0, 0) or reached(176, 0, 0)


@attack("SYS_KEXEC", "B", "S")
def _(): return reached(246, 0, 0, 0, 0) or reached(320, -1, -1, 0, 0, 0)


@attack("SYS_REBOOT", "B", "S")
def _(): return reached(169, 1, 2, 3, 0)


@attack("SYS_SWAPON", "B", "S")
def _(): return reached(167, 0, 0) or reached(168, 0)


@attack("SYS_IOPL", "B", "S")
def _(): return reached(172, 3) or reached(173, 0, 1, 1)


@attack("SYS_MODIFY_LDT", "h", "S")
def _(): return reached(154, 0, ctypes.create_string_buffer(64), 64)


@attack("SYS_QUOTACTL", "h", "S")
def _(): return reached(179, 0, 0, 0, 0)


@attack("SYS_ACCT", "B", "S")
def _(): return reached(163, 0)


@attack("SYS_CLOCK", "B", "S")
def _():
    now = ctypes.create_string_buffer(struct.pack("qq", 1, 0))
    return reached(227, 99, now) if AIMS.get("all") is None else reached(227, 0, now) or reached(164, now, 0)


@attack("SYS_HOSTNAME", "h", "S")
def _(): return reached(170, ctypes.c_char_p(b"x"), 1) or reached(171, ctypes.c_char_p(b"x"), 1)


@attack("SYS_KEYRING", "B", "NSU")
def _():
    # The user's keyring, linked into our own to possess what is in it.
    sy(250, 8, -4, -3)
    key = sy(250, 10, -3, ctypes.c_char_p(b"user"), ctypes.c_char_p(AIMS["key"].encode()), 0)
    buffer = ctypes.create_string_buffer(256)
    sy(250, 11, key, buffer, 256)
    return is_secret(buffer.raw)


@attack("SYS_KEYRING_SESSION", "B", "SE")
def _():
    key = sy(250, 10, -3, ctypes.c_char_p(b"user"), ctypes.c_char_p(AIMS["session_key"].encode()), 0)
    return key


@attack("SYS_KEYRING_CHANNEL", "B", "S")
def _(): return sy(248, ctypes.c_char_p(b"user"), ctypes.c_char_p(b"channel"), ctypes.c_char_p(b"x"), 1, -4)


@attack("SYS_SHM", "B", "NU")
def _():
    segment = sy(29, AIMS["shm_key"], 0, 0)
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(segment, None, 0o10000)
    if address in (None, ctypes.c_void_p(-1).value): raise OSError(ctypes.get_errno(), "shmat")
    return is_secret(ctypes.string_at(address, 256))


@attack("SYS_MQUEUE", "B", "NU")
def _():
    queue = sy(240, ctypes.c_char_p(AIMS["mqueue"].encode()), os.O_RDONLY, 0, 0)
    return queue


@attack("SYS_FAMILIES", "h", "S")
def _():
    allowed = {(1, 1), (1, 2), (1, 3), (1, 5), (2, 1), (2, 2), (10, 1), (10, 2), (16, 2), (16, 3)}
    made = []
    for family in range(48):
        for kind in (1, 2, 3, 4, 5, 6):
            try: socket.socket(family, kind).close()
            except OSError: continue
            made.append((family, kind))
    return [pair for pair in made if pair not in allowed]


@attack("SYS_FAMILIES_NETLINK", "h", "S")
def _():
    made = []
    for protocol in range(1, 23):
        try: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol).close()
        except OSError: continue
        made.append(protocol)
    return made


@attack("SYS_COMPAT_INT80", "B", "S")
def _():
    import mmap
    # mov eax, 20 (getpid of 32 bits); int 0x80; ret
    memory = mmap.mmap(-1, 4096, prot=7)
    memory.write(bytes.fromhex("b814000000cd80c3"))
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))() > 0


@attack("SYS_COMPAT_X32", "B", "S")
def _(): return sy(0x40000000 + 39) > 0


@attack("SYS_NEWER", "h", "S")
def _(): return [number for number in (463, 464, 465, 466, 467, 468, 469) if reached(number, -100, 0, 0, 0, 0, 0)]


@attack("SYS_PERSONALITY", "h", "S")
def _(): return sy(135, 0x0400000) >= 0


@attack("SYS_NUMA", "h", "S")
def _(): return reached(237, 1, 1, 99, 0, 0, 0) or reached(239, 0, 0, 0, 0, 0)


@attack("SYS_MEMFD_SECRET", "h", "S")
def _(): return reached(447, 0xffff)


@attack("SYS_MPTCP", "h", "S")
def _(): return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)


@attack("SYS_LINE_DISCIPLINE", "h", "S")
def _():
    leader, follower = os.openpty()
    return [number for number in range(1, 30) if not fails(lambda: sy(16, follower, 0x5423, ctypes.byref(ctypes.c_int(number))))]


def fails(function):
    try:
        function()
        return False
    except OSError:
        return True
