import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// The threat table of the sandbox: each row is a command that a hostile session could run, and what it must give.
@Suite struct BoundaryTests {
    struct Attack: Sendable, CustomTestStringConvertible {
        var name: String
        var command: String
        /// Part of what it prints; the whole of it when it begins with `=`.
        var expected: String
        var testDescription: String { name }

        init(_ name: String, _ command: String, _ expected: String) {
            self.name = name
            self.command = command
            self.expected = expected
        }
    }

    /// `sy NR ARGS` prints result and errno of a raw system call (x86_64).
    private static let helper =
        "sy() { /usr/bin/python3 -c 'import ctypes as c,sys;l=c.CDLL(None,use_errno=True);print(l.syscall(*[c.c_long(int(a)) for a in sys.argv[1:]]),c.get_errno())' \"$@\"; }; "
        + "py() { /usr/bin/python3 -c \"$@\" 2>&1 | tail -1; }; "

    private static let files: [Attack] = [
        Attack("FS_READ_DIRECT", "cat $C", "No such file"),
        Attack("FS_READ_SYMLINK", "ln -s $C l; cat l", "No such file"),
        Attack("FS_READ_RELATIVE_DOTDOT", "cat ../../../../../../../../../..$C", "No such file"),
        Attack("FS_READ_HARDLINK", "ln $C h", "No such file"),
        Attack("FS_READ_PROC_ROOT", "cat /proc/1/root$C", "Permission denied"),
        Attack("FS_READ_PROC_FD", "ls /proc/1/fd /proc/1/cwd/", "Permission denied"),
        Attack("FS_FD_INHERITED", "py 'import os;print(sorted(int(f) for f in os.listdir(\"/proc/self/fd\"))[:-1])'", "=[0, 1, 2]"),
        Attack(
            "FS_FD_INHERITED file tools and shell",
            "for f in /proc/$$/fd/*; do [ ${f##*/} -gt 2 ] && readlink $f; done | grep -v '^pipe\\|^socket\\|/dev/null' | wc -l", "=0"),
        Attack("FS_READ_OTHER_SESSION", "ls $O", "No such file"),
        Attack("FS_READ_HOME_CREDS", "ls -A ~; ls /root /home/*/.ssh", "cannot access '/root'"),
        Attack(
            "FS_READ_SYSTEM_SECRETS", "cat /etc/shadow; cat /etc/ssh/ssh_host_rsa_key; cat /var/run/secrets/kubernetes.io/serviceaccount/token",
            "=cat: /etc/shadow: No such file or directory\ncat: /etc/ssh/ssh_host_rsa_key: No such file or directory\ncat: /var/run/secrets/kubernetes.io/serviceaccount/token: No such file or directory"
        ),
        Attack(
            "FS_READ_DEVICES", "ls /dev | grep -v '^core$\\|^fd$\\|^std\\|^pts$\\|^ptmx$\\|^shm$' | tr '\\n' ' '",
            "=full null random tty urandom zero "),
        Attack(
            "FS_READ_KERNEL", "for f in keys key-users kallsyms cmdline interrupts; do cat /proc/$f; done 2>&1 | grep -c 'Permission denied'", "=5"),
        Attack("FS_READ_KCORE", "head -c 1 /proc/kcore", "cannot open"),
        Attack("FS_OPEN_BY_HANDLE", "sy 304 3 0 0", "=-1 1"),
        Attack("FS_CHROOT_ESCAPE", "/usr/sbin/chroot . /bin/true", "Operation not permitted"),
        Attack("FS_SYSLOG", "sy 103 3 0 0", "=-1 1"),
        Attack("FS_TMP_SHARED", "ls -A /tmp; ls $TMPFILE", "No such file"),
        Attack("ENV_SECRET_VALUE", "cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c 'SECRET\\|ANTHROPIC\\|POSTERN'", "=0"),
        Attack(
            "ENV_LOADER", "env | grep -c 'LD_\\|NODE_OPTIONS\\|BASH_ENV'; ls /etc/ld.so.preload",
            "=0\nls: cannot access '/etc/ld.so.preload': No such file or directory"),
        Attack("FS_WRITE_DIRECT", "touch $O/x", "No such file"),
        Attack("FS_WRITE_SYMLINK", "ln -s $O/x wl; echo > wl", "No such file"),
        Attack("FS_WRITE_DIRSWAP", "mkdir d; mv d e; ln -s $O d; touch d/x", "No such file"),
        Attack("FS_WRITE_RENAME", "touch f; mv f $O/", "cannot create"),
        Attack("FS_WRITE_META", "touch -c $O; chmod 700 $O", "No such file"),
        Attack("FS_WRITE_PROC_ROOT", "touch /proc/1/root$O/x", "Permission denied"),
        Attack("FS_WRITE_SYSTEM", "touch /usr/local/bin/x; touch /etc/x; touch /bin/x; echo x >> /etc/passwd", "Read-only file system"),
        Attack(
            "FS_WRITE_SYSTEM every one",
            "for d in /usr /etc /bin /dev /var /mnt /run /home /proc/sys/kernel; do touch $d/x 2>/dev/null && echo $d; done; true", "=(no output)"),
        Attack("FS_WRITE_ROOTDIR", "touch /x", "Read-only file system"),
        Attack("FS_WRITE_SHELLRC", "touch ~/.bashrc && stat -f -c %T ~", "=tmpfs"),
        Attack(
            "FS_WRITE_PROC_SYS", "py \"open('/proc/sys/kernel/core_pattern','r+')\"; py \"open('/proc/sys/kernel/hostname','w').write('x')\"",
            "Read-only file system"),
        Attack("FS_WRITE_PROC_SYS all", "find /proc/sys -type f -writable 2>/dev/null | wc -l", "=0"),
        Attack("FS_WRITE_SYSRQ", "echo c > /proc/sysrq-trigger", "/proc/sysrq-trigger: "),
        Attack("FS_WRITE_SYSFS", "ls /sys", "No such file"),
        Attack("FS_SUID_CREATE chmod", "touch s; chmod 6755 s; stat -c %a s", "=chmod: changing permissions of 's': Operation not permitted\n644"),
        Attack(
            "FS_SUID_CREATE chmod(2), fchmod, fchmodat, fchmodat2",
            "touch s; sy 268 -100 0 2048; py \"import os;os.chmod('s',0o4755)\"; py \"import os;os.fchmod(os.open('s',0),0o2755)\"; sy 452 -100 0 2048 0",
            "=-1 1\nPermissionError: [Errno 1] Operation not permitted: 's'\nPermissionError: [Errno 1] Operation not permitted\n-1 1"),
        Attack("FS_SUID_CREATE open", "py \"import os;os.open('t',os.O_CREAT|os.O_WRONLY,0o4755)\"; ls t", "Operation not permitted"),
        Attack("FS_SUID_CREATE openat2", "sy 437 -100 0 0 24", "=-1 38"),
        Attack("FS_SUID_CREATE mknod", "py \"import os;os.mknod('u',0o104755)\"", "Operation not permitted"),
        Attack(
            "FS_FILE_CAPS",
            "touch s; py \"import os;os.setxattr('s','security.capability',bytes.fromhex('0100000200200000000000000000000000000000'))\"",
            "Operation not permitted"),
        Attack("FS_MKNOD", "mknod b b 8 0; mknod c c 1 1", "Operation not permitted"),
        Attack("FS_PROC_EXE_WRITE", "py \"open('/proc/1/exe','r+b')\"", "Permission denied"),
        Attack("FS_NOSUID_NODEV", "grep ' /workspace ' /proc/self/mountinfo | cut -d' ' -f6", "nosuid,nodev"),
        Attack("FS_CORE_LIMIT", "ulimit -Hc; py 'import resource;print(resource.getrlimit(resource.RLIMIT_CORE))'", "=0\n(1, 1)"),
    ]

    private static let privilege: [Attack] = [
        Attack("NS_MOUNT_DIRECT", "mount -o remount,rw,bind /; umount /proc/sys; sy 165 0 0 0 0 0", "-1 1"),
        Attack("NS_USERNS", "unshare -U true", "Operation not permitted"),
        Attack("NS_USERNS_MOUNT", "unshare -Urm umount -l /tmp", "Operation not permitted"),
        Attack("NS_USERNS_CLONE", "sy 56 268435456 0 0 0 0", "=-1 1"),
        Attack("NS_USERNS_CLONE3", "sy 435 0 0", "=-1 38"),
        Attack("NS_SETNS", "nsenter -t 1 -m true; sy 308 0 0", "-1 1"),
        Attack("NS_NEW_MOUNT_API", "for n in 428 429 430 431 432 433 442; do sy $n 0 1; done | sort -u", "=-1 1"),
        Attack("NS_CGROUP_ESCAPE", "ls /sys/fs/cgroup", "No such file"),
        Attack(
            "PROC_NNP, PROC_SECCOMP", "grep -h '^NoNewPrivs\\|^Seccomp:' /proc/self/status | tr -d '\\t' | tr '\\n' ' '", "=NoNewPrivs:1 Seccomp:2 "),
        Attack("PROC_CAPS", "grep '^Cap' /proc/self/status | cut -f2 | sort -u", "=0000000000000000"),
        // That it is nobody's root outside either is looked at from outside.
        Attack("PROC_HOST_ROOT", "id -u; id -G; test -w /proc/sys/kernel/core_pattern || echo no", "=1000\n1000\nno"),
        Attack("PROC_SUID_EXEC", "su -c id root </dev/null; true", "u:"),
        Attack("PROC_SEE_HOST", "ls -d /proc/[0-9]* | wc -l | awk '{print ($1 < 8)}'", "=1"),
        Attack("PROC_SIGNAL_INIT", "kill -9 1; kill -STOP 1; kill -TERM 1; sleep 0.05; echo alive", "alive"),
        Attack("PROC_PTRACE", "sy 101 16 1 0 0", "=-1 1"),
        Attack("PROC_MEM", "py \"open('/proc/1/mem','r+b')\"", "Permission denied"),
        Attack("PROC_VM_READV, WRITEV, GETFD, KCMP, MADVISE", "for n in 310 311 438 312 440; do sy $n 1 0 0 0 0 0; done | sort -u", "=-1 1"),
        Attack("PROC_SCHED", "chrt -f 1 true; nice -n -5 true", "not permitted"),
        Attack(
            "PROC_TTY_INJECT", "py \"import fcntl;fcntl.ioctl(0,0x5412,b'x')\"; sy 16 0 4294988818 0",
            "=PermissionError: [Errno 1] Operation not permitted\n-1 1"),
        Attack("SYS_IO_URING", "for n in 425 426 427; do sy $n 1 0; done | sort -u", "=-1 38"),
        Attack("SYS_BPF, PERF, USERFAULTFD, FANOTIFY", "for n in 321 298 323 300; do sy $n 0 0 -1 -1 0; done | sort -u", "=-1 1"),
        Attack(
            "SYS_MODULE, KEXEC, REBOOT, SWAPON, IOPL", "for n in 175 313 176 246 320 169 167 172 173 163; do sy $n 0 0 0 0 0; done | sort -u", "=-1 1"
        ),
        Attack(
            "SYS_CLOCK, HOSTNAME", "for n in 164 227 159 305 170 171; do sy $n 0 0; done | sort -u; hostname x",
            "=-1 1\nhostname: you must be root to change the host name"),
        Attack("SYS_KEYRING", "for n in 248 249 250; do sy $n 0 0 0 0 0; done | sort -u", "=-1 1"),
        Attack("SYS_SHM", "ipcs -m | grep -c 0x", "=0"),
        Attack("SYS_NUMA", "for n in 237 238 239 256 279 450; do sy $n 0 0 0 0 0 0; done | sort -u", "=-1 1"),
        Attack("SYS_NEWER", "sy 467 0 0; sy 463 0 0; sy 999 0", "=-1 38\n-1 38\n-1 38"),
        Attack(
            "SYS_FAMILIES",
            "/usr/bin/python3 -c 'import socket\nallowed=[]\nfor f in range(0,48):\n  for t in (1,2,3,5):\n    try: socket.socket(f,t).close(); allowed.append((f,t))\n    except OSError as e: assert e.errno in (1,94), (f,t,e)\nprint(allowed)'",
            "=[(1, 1), (1, 2), (1, 3), (1, 5), (2, 1), (2, 2), (10, 1), (10, 2), (16, 2), (16, 3)]"),
        Attack("SYS_FAMILIES protocols", "for p in 1 33 132 136 262; do sy 41 2 1 $p; sy 41 2 2 $p; done | sort -u; sy 41 16 3 12", "=-1 1\n-1 1"),
        Attack("SYS_COMPAT_X32", "( sy 1073741863 ) 2>&1; true", "Bad system call"),
        // A few more processes than the control group's bound, which is the one that says so.
        Attack("ULIMITS", "ulimit -Hu; ulimit -Hn", "=520\n4096"),
    ]

    private static let network: [Attack] = [
        Attack(
            "NET_HOST_TCP", "for a in 127.0.0.1 0.0.0.0 127.0.0.2; do (echo > /dev/tcp/$a/$PORT) 2>/dev/null && echo open; done; true", "=(no output)"
        ),
        Attack("NET_HOST_TCP_V6", "py \"import socket;socket.socket(10,1).connect(('::1',$PORT))\"", "Error"),
        Attack("NET_HOST_TCP_MPTCP", "py \"import socket;socket.socket(2,1,262)\"", "Operation not permitted"),
        Attack("NET_HOST_GATEWAY", "cat /proc/net/route | wc -l", "=1"),
        Attack("NET_DIRECT_INTERNET", "py \"import socket;socket.socket(2,1).connect(('1.1.1.1',443))\"", "Network is unreachable"),
        Attack("NET_HOST_UDP", "py \"import socket;socket.socket(2,2).sendto(b'x',('1.1.1.1',53))\"", "Network is unreachable"),
        Attack("NET_FASTOPEN", "py \"import socket;socket.socket(2,1).sendto(b'x',0x20000000,('1.1.1.1',443))\"", "Network is unreachable"),
        Attack("NET_DNS_LIBC", "getent hosts example.com; echo $?", "=2"),
        Attack("NET_DNS_SOCKETS", "ls /run/nscd /run/systemd /run/dbus /var/run", "cannot access '/run/nscd'"),
        Attack("NET_ICMP, RAW, PACKET", "sy 41 2 2 1; sy 41 2 3 255; sy 41 17 3 768", "=-1 1\n-1 1\n-1 1"),
        Attack("NET_ADMIN", "ip link set lo down", "Operation not permitted"),
        Attack("NET_TUN", "ls /dev/net/tun", "No such file"),
        Attack("NET_UNIX_PATH", "py \"import socket;socket.socket(1).connect('$UNIX')\"", "No such file"),
        Attack("NET_UNIX_ABSTRACT", "grep -c @ /proc/net/unix", "=0"),
        Attack("NET_UNIX_SCAN", "find / -xdev -type s 2>/dev/null | wc -l", "=0"),
        Attack("NET_VSOCK", "sy 41 40 1 0", "=-1 1"),
    ]

    @Test(arguments: Mode.possible) func holdsAgainstFileAttacks(mode: Mode) async throws { try await attack(Self.files, mode) }
    @Test(arguments: Mode.possible) func holdsAgainstPrivilegeAttacks(mode: Mode) async throws { try await attack(Self.privilege, mode) }
    @Test(arguments: Mode.possible) func holdsAgainstNetworkAttacks(mode: Mode) async throws { try await attack(Self.network, mode) }

    /// Runs the attacks with a secret, a folder, a service and a unix socket of the host as aims.
    private func attack(_ attacks: [Attack], _ mode: Mode) async throws {
        let host = try HostAims()
        defer { host.remove() }
        try await Box.with(mode) { (box: Box) async throws in
            _ = try await box.sh("C=\(host.secret); O=\(host.folder); TMPFILE=\(host.secret); PORT=\(host.port); UNIX=\(host.socket); " + Self.helper)
            for attack in attacks {
                let text = try await box.bash("rm -rf -- * 2>/dev/null; \(attack.command)").text
                if attack.expected.hasPrefix("=") {
                    #expect(text == attack.expected.dropFirst(), "\(attack.name)")
                } else {
                    #expect(text.contains(attack.expected), "\(attack.name): \(text)")
                }
            }
            #expect(host.isUntouched)
            #expect(box.sandbox.user != 0)
            for pid in Processes.ofUser(box.sandbox.user) { #expect(Processes.field("Uid", of: pid)?.hasPrefix("0\t") != true) }
        }
    }

    #if arch(x86_64)
    @Test func killsThirtyTwoBitEntry() async throws {
        try await Box.with { (box: Box) async throws in
            // mov eax,20 (getpid, 32 bit); int 0x80; ret
            let code = "b814000000cd80c3"
            let program =
                "import ctypes,mmap;m=mmap.mmap(-1,4096,prot=7);m.write(bytes.fromhex('\(code)'));f=ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)));print(f())"
            let outcome = try await box.bash("/usr/bin/python3 -c \"\(program)\"; echo $?")
            #expect(outcome.text.contains("159"), "\(outcome.text)")
        }
    }
    #endif
}

/// Things of the host that a sandbox must not reach: a secret file, a folder, a TCP service on loopback, a unix socket.
struct HostAims {
    let folder: String
    let secret: String
    let socket: String
    let port: UInt16
    private let listeners: [Int32]

    init() throws {
        var template = Array("/tmp/postern-aims-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw SandboxError(.refused, "mkdtemp") }
        folder = String(cString: made)
        chmod(folder, 0o777)
        secret = folder + "/secret"
        socket = folder + "/socket"
        let file = open(secret, O_WRONLY | O_CREAT, 0o666)
        _ = "TOP SECRET".withCString { write(file, $0, 10) }
        close(file)
        let unix = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = UInt16(AF_UNIX)
        let path = Array(socket.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(unix, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        listen(unix, 8)
        let tcp = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var inet = sockaddr_in()
        inet.sin_family = UInt16(AF_INET)
        inet.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafePointer(to: &inet) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(tcp, $0, length) } }
        _ = withUnsafeMutablePointer(to: &inet) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(tcp, $0, &length) } }
        listen(tcp, 8)
        port = UInt16(bigEndian: inet.sin_port)
        listeners = [unix, tcp]
    }

    /// Nothing was added, changed or connected to.
    var isUntouched: Bool {
        var waiting = listeners.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&waiting, nfds_t(waiting.count), 0) == 0, let listing = opendir(folder) else { return false }
        defer { closedir(listing) }
        var count = 0
        while readdir(listing) != nil { count += 1 }
        return count == 4 && Processes.text(secret) == "TOP SECRET"
    }

    func remove() {
        for listener in listeners { close(listener) }
        unlink(secret)
        unlink(socket)
        rmdir(folder)
    }
}
