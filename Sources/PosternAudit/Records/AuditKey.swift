import Crypto
import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The worker's own key for digests. With it, the holder of the log and the key can prove that a given text went in or out; without
/// it, nobody can guess short texts from their digests.
package struct AuditKey: Sendable {
    private let key: SymmetricKey

    package init(bytes: [UInt8]) { key = SymmetricKey(data: bytes) }

    /// Where the key of a log stands: `audit.key` in the same folder.
    package static func path(beside log: String) -> String {
        guard let slash = log.lastIndex(of: "/") else { return "audit.key" }
        return String(log[...slash]) + "audit.key"
    }

    /// Reads the key (32 bytes, mode 0600) or makes one at first use. Blocks; for start-up.
    package static func load(path: String) throws(FileError) -> AuditKey {
        if let bytes = try SmallFile.read(path) {
            guard bytes.count == 32 else { throw FileError(action: "use", path: path, reason: "an audit key has 32 bytes, not \(bytes.count)") }
            return AuditKey(bytes: bytes)
        }
        let bytes = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
        try SmallFile.write(bytes, to: path)
        return AuditKey(bytes: bytes)
    }

    /// What a digest is of: keeps an input and an output with the same bytes apart.
    package enum Purpose: String, Sendable { case input, output }

    /// HMAC-SHA256 over the purpose, a zero byte and the canonical JSON; lower-case hex.
    package func digest(_ purpose: Purpose, of value: JSON) -> String { digest(purpose, canonical: value.canonical) }

    /// What a key is called where it must not be shown: the same for the same key, and of no use to guess it by.
    package func fingerprint(_ secret: String) -> String { String(digest(.input, canonical: Array(secret.utf8)).prefix(16)) }

    /// The digest of what `next` gives until it gives nothing.
    package func digest(_ purpose: Purpose, pieces next: () -> [UInt8]?) -> String {
        var code = HMAC<SHA256>(key: key)
        code.update(data: Array(purpose.rawValue.utf8) + [0])
        while let piece = next() { code.update(data: piece) }
        return Self.hex(code)
    }

    /// The digest of a file that is open, as long as it was at the start: it may grow meanwhile. `nil` for what is no plain file, or could not
    /// be read to there. Blocks.
    package func digest(_ purpose: Purpose, file: Int32) -> String? {
        var info = stat()
        guard fstat(file, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
        var (left, isWhole) = (Int(info.st_size), true)
        let digest = digest(
            purpose,
            pieces: {
                guard left > 0 else { return nil }
                var piece = [UInt8](repeating: 0, count: min(left, 256 << 10))
                let count = piece.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
                guard count > 0 else {
                    isWhole = false
                    return nil
                }
                left -= count
                return Array(piece.prefix(count))
            })
        return isWhole ? digest : nil
    }

    package func digest(_ purpose: Purpose, canonical bytes: [UInt8]) -> String {
        var code = HMAC<SHA256>(key: key)
        code.update(data: Array(purpose.rawValue.utf8) + [0])
        code.update(data: bytes)
        return Self.hex(code)
    }

    /// A digest that is taken piece by piece, of bytes that nobody holds at one time.
    package struct Running: Sendable {
        fileprivate var code: HMAC<SHA256>
        package private(set) var bytes = 0

        package mutating func update(_ piece: UnsafeRawBufferPointer) {
            code.update(data: piece)
            bytes += piece.count
        }

        /// Of what came until now.
        package var digest: AuditRecord.Digest { .init(digest: AuditKey.hex(code), bytes: bytes) }
    }

    package func running(_ purpose: Purpose) -> Running {
        var code = HMAC<SHA256>(key: key)
        code.update(data: Array(purpose.rawValue.utf8) + [0])
        return Running(code: code)
    }

    fileprivate static func hex(_ code: HMAC<SHA256>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: code.finalize().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
