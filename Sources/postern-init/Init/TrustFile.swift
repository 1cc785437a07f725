import CPosternSandbox
import Glibc
import PosternSandboxWire

/// The certificates that programs of a sandbox trust when its proxy reads their TLS: the system's and the session's own authority. The file is
/// the session's to break: it only ever decides whom the session itself believes.
enum TrustFile {
    private static let systemBundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"]
    private static let largestBundle = 4 << 20

    /// Writes the file, and a store for Java where the system has one; a sandbox whose proxy nobody trusts would only look broken, so a failure is one of the start.
    static func write(_ certificate: String) throws(SystemFailure) {
        let path = SandboxPaths.certificates
        if let slash = path.lastIndex(of: "/") { mkdir(String(path[..<slash]), 0o755) }
        // The session's first: programs that import one certificate, such as Java's keytool, take the first of a file.
        let bundle = Array(certificate.utf8) + [0x0A] + system()
        try write(bundle, to: path)
        guard leadsToJava() else { return }
        do throws(SystemFailure) {
            try write(JavaTrustStore.bytes(CertificateText.certificates(in: bundle)), to: SandboxPaths.javaCertificates)
        } catch {
            // A home folder that is too small for it: Java alone goes without.
            unlink(SandboxPaths.javaCertificates)
        }
        // Some hundred kilobytes, of this process's life for a moment of it.
        psb_release_heap()
    }

    private static func write(_ bytes: [UInt8], to path: String) throws(SystemFailure) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o444)
        guard file >= 0 else { throw SystemFailure("create \(path)") }
        defer { close(file) }
        guard Posix.write(file, bytes) else { throw SystemFailure("write \(path)") }
    }

    /// Whether a store that Java reads is a link to the session's.
    private static func leadsToJava() -> Bool {
        EtcFolder.ofJava.contains { folder in
            let link = Posix.link(AT_FDCWD, Array("/etc/\(folder)/\(EtcFolder.javaStore)".utf8))
            return link.map { String(decoding: $0, as: UTF8.self) } == SandboxPaths.javaCertificates
        }
    }

    private static func system() -> [UInt8] {
        for path in systemBundles {
            let file = open(path, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { continue }
            defer { close(file) }
            guard let info = Posix.status(file), Posix.isKind(info, S_IFREG), info.st_size <= largestBundle else { continue }
            var bytes = [UInt8](repeating: 0, count: Int(info.st_size))
            let count = bytes.withUnsafeMutableBytes { Posix.read(file, into: $0) } ?? 0
            return Array(bytes[..<count])
        }
        return []
    }
}
