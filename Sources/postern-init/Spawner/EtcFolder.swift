import Glibc
import PosternSandboxWire

/// The `/etc` of every sandbox: an allow list. Made up where the host's would say something about the host, copied where programs need
/// the host's (libraries, time zone), bound where it is large.
enum EtcFolder {
    private static let madeUp: [(name: String, text: String)] = [
        (
            "passwd",
            """
            root:x:0:0:root:/nonexistent:/usr/sbin/nologin
            \(SandboxPaths.userName):x:\(SandboxPaths.userID):\(SandboxPaths.userID):\(SandboxPaths.userName):\(SandboxPaths.home):/bin/bash
            nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin

            """
        ),
        ("group", "root:x:0:\n\(SandboxPaths.userName):x:\(SandboxPaths.userID):\nnogroup:x:65534:\n"),
        ("hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"),
        ("hostname", "sandbox\n"),
        // No name service but files: nothing is resolved inside.
        ("nsswitch.conf", nameServices(hosts: "files")), ("resolv.conf", "# Nothing is resolved in here.\n"),
    ]

    /// In place of the ones above in sandboxes with a resolver of their own, which gives every name an address of their loopback.
    static let ofResolver: [(name: String, text: String)] = [
        ("nsswitch.conf", nameServices(hosts: "files dns")), ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"),
    ]

    private static func nameServices(hosts: String) -> String {
        "passwd: files\ngroup: files\nshadow: files\nhosts: \(hosts)\nservices: files\nprotocols: files\n"
    }

    private static let copied = [
        "ld.so.cache", "ld.so.conf", "localtime", "timezone", "host.conf", "mime.types", "services", "protocols", "ssl/openssl.cnf", "magic",
        "debian_version",
    ]

    /// Folders bound read-only from the host; what is missing there is left out.
    static let bound: [String] = {
        var names = ["alternatives", "ssl/certs", "pki/ca-trust/extracted", "crypto-policies"]
        let etc = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if etc >= 0 {
            // A Java runtime of Debian keeps half of itself here.
            let found = (Posix.names(of: etc) ?? []).map { String(decoding: $0, as: UTF8.self) }
            names += found.filter { $0.hasPrefix("java-") && $0.hasSuffix("-openjdk") }.sorted()
            close(etc)
        }
        return names.filter { name in
            Posix.status(AT_FDCWD, Array("/etc/\(name)".utf8), follow: false).map { Posix.isKind($0, S_IFDIR) } ?? false
        }
    }()

    /// Folders below `/etc` in which a system keeps the store that all its Java runtimes read. In sandboxes whose proxy reads TLS a folder lies over
    /// it whose store is a link to the session's.
    static let ofJava = ["ssl/certs", "pki/ca-trust/extracted"].filter(bound.contains).map { "\($0)/java" }.filter {
        Posix.status(AT_FDCWD, Array("/etc/\($0)".utf8), follow: false).map { Posix.isKind($0, S_IFDIR) } ?? false
    }
    static let javaFolder = "java"
    static let javaStore = "cacerts"

    /// The folder `path`, and beside it `resolver` with the files of `ofResolver`.
    static func make(at path: String, resolver: String) throws(SystemFailure) {
        guard mkdir(resolver, 0o755) == 0 else { throw SystemFailure("mkdir \(resolver)") }
        for file in ofResolver { try write(Array(file.text.utf8), to: "\(resolver)/\(file.name)") }
        let java = "\(resolver)/\(javaFolder)"
        guard mkdir(java, 0o755) == 0, symlink(SandboxPaths.javaCertificates, "\(java)/\(javaStore)") == 0 else {
            throw SystemFailure("mkdir \(java)")
        }
        guard mkdir(path, 0o755) == 0 else { throw SystemFailure("mkdir \(path)") }
        for folder in ["ssl", "ld.so.conf.d"] { mkdir("\(path)/\(folder)", 0o755) }
        for file in madeUp { try write(Array(file.text.utf8), to: "\(path)/\(file.name)") }
        for name in copied { try copy(name, to: path) }
        let parts = open("/etc/ld.so.conf.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if parts >= 0 {
            for name in Posix.names(of: parts) ?? [] { try copy("ld.so.conf.d/\(String(decoding: name, as: UTF8.self))", to: path) }
            close(parts)
        }
        symlink("../usr/lib/os-release", "\(path)/os-release")
        symlink("/proc/self/mounts", "\(path)/mtab")
        for name in bound {
            var folder = path
            for part in name.split(separator: "/") {
                folder += "/\(part)"
                mkdir(folder, 0o755)
            }
        }
    }

    private static func copy(_ name: String, to path: String) throws(SystemFailure) {
        let source = open("/etc/\(name)", O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard source >= 0 else { return }
        defer { close(source) }
        guard let info = Posix.status(source), Posix.isKind(info, S_IFREG), info.st_size < 4 << 20 else { return }
        var bytes = [UInt8](repeating: 0, count: Int(info.st_size))
        let count = bytes.withUnsafeMutableBytes { Posix.read(source, into: $0) } ?? 0
        try write(Array(bytes[..<count]), to: "\(path)/\(name)")
    }

    private static func write(_ bytes: [UInt8], to path: String) throws(SystemFailure) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o444)
        guard file >= 0 else { throw SystemFailure("create \(path)") }
        defer { close(file) }
        guard Posix.write(file, bytes) else { throw SystemFailure("write \(path)") }
    }
}
