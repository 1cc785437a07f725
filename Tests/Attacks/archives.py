# Hostile archives, made and unpacked inside a sandbox (W11, W12). Whatever unpackers do with them, they do it there. Prints how many
# were made, and every set-id file, device and link out that they have left below the current folder.
import io, os, stat, subprocess, sys, tarfile, zipfile

target = sys.argv[1]
made = []


def tar(name, *members):
    with tarfile.open(name, "w") as archive:
        for path, kind, link, mode, data in members:
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname, entry.mode, entry.size = kind, link, mode, len(data)
            entry.devmajor, entry.devminor = 8, 0
            archive.addfile(entry, io.BytesIO(data))
    made.append(name)


def zipped(name, *members):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, mode, data in members:
            entry = zipfile.ZipInfo(path)
            entry.external_attr = mode << 16
            archive.writestr(entry, data)
    made.append(name)


F, S, H, D = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
x = b"attack\n"
tar("1.tar", ("../" * 30 + target[1:] + "/t1", F, "", 0o644, x))
tar("2.tar", (target + "/t2", F, "", 0o644, x))
tar("3.tar", ("a", S, target, 0o777, b""), ("a/t3", F, "", 0o644, x))
tar("4.tar", ("b", H, target + "/kept", 0o644, b""), ("b", F, "", 0o644, x))
tar("5.tar", ("c/../../../../../.." + target + "/t5", F, "", 0o644, x))
tar("6.tar", ("d", S, "..", 0o777, b""), ("d/d", S, "..", 0o777, b""), ("d/d/t6", F, "", 0o644, x))
tar("7.tar", ("sda", tarfile.BLKTYPE, "", 0o666, b""), ("mem", tarfile.CHRTYPE, "", 0o666, b""))
tar("8.tar", ("su", F, "", 0o6755, x))
tar("9.tar", ("fifo", tarfile.FIFOTYPE, "", 0o666, b""))
tar("10.tar", (".git/config", F, "", 0o644, b"[core]\n\tfsmonitor = touch " + target.encode() + b"/t10\n"), (".git/hooks/post-checkout", F, "", 0o755, x))
tar("11.tar", (".claude/settings.json", F, "", 0o644, b"{}"), (".mcp.json", F, "", 0o644, b"{}"), (".vscode/tasks.json", F, "", 0o644, b"{}"))
tar("12.tar", ("Case", F, "", 0o644, x), ("case", S, target, 0o777, b""), ("CASE/t12", F, "", 0o644, x))
tar("13.tar", ("new\nline\x1b]52;c;YQ==\x07", F, "", 0o644, x))
tar("14.tar", ("/proc/self/root" + target + "/t14", F, "", 0o644, x))
tar("15.tar", ("/proc/self/fd/1", F, "", 0o644, x))
tar("16.tar", ("deep/" * 200 + "f", F, "", 0o644, x))
tar("17.tar", ("/usr/local/bin/t17", F, "", 0o755, x), ("/etc/ld.so.preload", F, "", 0o644, x))
tar("18.tar", ("e", S, target + "/kept", 0o777, b""), ("e", F, "", 0o644, x))
zipped("19.zip", ("../" * 30 + target[1:] + "/z1", 0o100644, x))
zipped("20.zip", (target + "/z2", 0o100644, x))
zipped("21.zip", ("l", 0o120777, target), ("l/z3", 0o100644, x))
zipped("22.zip", ("s", 0o106755, x))
zipped("23.zip", ("..\\..\\z5", 0o100644, x), ("n\u0000ul", 0o100644, x), ("\u202egnp.exe", 0o100644, x))
zipped("24.zip", ("bomb", 0o100644, bytes(64 << 20)))

for number, name in enumerate(made):
    for unpacker in ("tar", "careless", "python"):
        folder = "out-%d-%s" % (number, unpacker)
        os.mkdir(folder)
        command = {
            # With and without tar's own care (-P), and Python's, with all of its care switched off.
            "tar": ["tar", "-C", folder, "-xpf", name], "careless": ["tar", "-C", folder, "-xPpf", name],
            "python": [sys.executable, "-c", "import sys,tarfile;a=tarfile.open(sys.argv[1]);a.extraction_filter=lambda m,p:m\nfor m in a:\n  try: a.extract(m,sys.argv[2])\n  except Exception: pass", name, folder]}[unpacker]
        if name.endswith(".zip"):
            command = {
                "tar": ["unzip", "-qqo", name, "-d", folder], "careless": ["unzip", "-qqo:", name, "-d", folder],
                "python": [sys.executable, "-m", "zipfile", "-e", name, folder]}[unpacker]
        try: subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)
        except FileNotFoundError: pass
left = []
for base, folders, names in os.walk("."):
    for entry in folders + names:
        mode = os.lstat(os.path.join(base, entry)).st_mode
        if stat.S_ISBLK(mode) or stat.S_ISCHR(mode) or (stat.S_ISREG(mode) and mode & 0o6000): left.append(os.path.join(base, entry))
print(len(made), left)
