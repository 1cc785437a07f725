import Crypto

/// The private keys of a log's checkpoints: the one that signs the next checkpoint and the one after it, whose public half that checkpoint
/// names. Each key signs once and is then erased, so that whoever takes the present keys can sign nothing that lies in the past.
///
/// The second key is there before it is named: whatever instruction a crash comes at, the file holds the key that the log asks for.
struct SigningKeys: Sendable {
    typealias Key = Curve25519.Signing.PrivateKey

    /// Checkpoints that were signed before `current`.
    private(set) var used: Int
    private(set) var current: Key
    private(set) var next: Key

    /// Keys for a new chain; `current` becomes its root.
    init() {
        used = 0
        current = Key()
        next = Key()
    }

    private init(used: Int, current: Key, next: Key) {
        self.used = used
        self.current = current
        self.next = next
    }

    /// The keys once `current` has signed.
    func advanced() -> SigningKeys { SigningKeys(used: used + 1, current: next, next: Key()) }

    var currentPublic: String { Hex.encode(current.publicKey.rawRepresentation) }
    var nextPublic: String { Hex.encode(next.publicKey.rawRepresentation) }

    func sign(_ bytes: [UInt8]) throws -> String { Hex.encode(try current.signature(for: bytes)) }

    static func isValid(_ signature: String, of bytes: [UInt8], by key: String) -> Bool {
        guard let signature = Hex.decode(signature, count: 64), let key = Hex.decode(key, count: 32),
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: key)
        else { return false }
        return key.isValidSignature(signature, for: bytes)
    }
}

extension SigningKeys {
    private static let magic = "postern-audit-keys-1"

    /// The key file: four lines of text.
    var encoded: [UInt8] {
        Array("\(Self.magic)\n\(used)\n\(Hex.encode(current.rawRepresentation))\n\(Hex.encode(next.rawRepresentation))\n".utf8)
    }

    /// Reads the key file. The error names no part of a key.
    init(decoding bytes: [UInt8], path: String) throws(FileError) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 5, lines[0] == Self.magic, let used = Int(lines[1]), used >= 0, let current = Hex.decode(String(lines[2]), count: 32),
            let next = Hex.decode(String(lines[3]), count: 32), let current = try? Key(rawRepresentation: current),
            let next = try? Key(rawRepresentation: next)
        else {
            throw FileError(
                action: "use", path: path,
                reason: "it does not hold the signing keys of an audit log; restore it, or move it and the log away to begin a new chain")
        }
        self.init(used: used, current: current, next: next)
    }
}
