import PosternJSON

/// The public keys of an issuer by their ids, as a JSON Web Key Set says them (RFC 7517, section 5).
package struct KeySet: Sendable {
    private struct Entry: Sendable {
        var key: TokenKey
        /// The only algorithm that the set allows it for; `nil`: those of its kind.
        var algorithm: String?
    }
    private var entries: [String: [Entry]] = [:]

    /// Bytes of a set, and keys in it.
    package static let longest = 256 << 10
    static let mostKeys = 256

    /// Why a text is no key set. Repeats nothing of it.
    package struct Invalid: Error, Hashable, Sendable, CustomStringConvertible {
        package var description: String
    }

    /// Keys of kinds that are not used here, for other uses, or without an id are left out.
    package init(_ bytes: some Collection<UInt8>) throws(Invalid) {
        guard bytes.count <= Self.longest else { throw Invalid(description: "the key set has more than \(Self.longest) bytes") }
        let json: JSON
        do { json = try JSON(parsing: bytes, options: .init(maximumDepth: 16, maximumValues: 16_384)) } catch {
            throw Invalid(description: "the key set is no JSON: \(error)")
        }
        guard let keys = json["keys"]?.array else { throw Invalid(description: "the key set has no list called \"keys\"") }
        guard keys.count <= Self.mostKeys else { throw Invalid(description: "the key set has more than \(Self.mostKeys) keys") }
        for key in keys {
            // Who publishes one has given it away; nothing that it signs proves anything.
            guard key["d"] == nil else { throw Invalid(description: "the key set holds a private key: take it out, and do not use it any more") }
            guard let id = key["kid"]?.string, !id.isEmpty, Self.isForSignatures(key), let read = TokenKey(key) else { continue }
            entries[id, default: []].append(Entry(key: read, algorithm: key["alg"]?.string))
        }
        guard !entries.isEmpty else {
            throw Invalid(description: "the key set holds no key with a \"kid\" on P-256, P-384 or Ed25519, or of RSA with 2048 bits or more")
        }
    }

    var count: Int { entries.values.reduce(0) { $0 + $1.count } }

    /// RFC 7517, sections 4.2 and 4.3.
    private static func isForSignatures(_ key: JSON) -> Bool {
        if let use = key["use"], use.string != "sig" { return false }
        if let uses = key["key_ops"], uses.array?.contains("verify") != true { return false }
        return true
    }

    /// Whether some key has that id.
    func knows(_ id: String) -> Bool { entries[id] != nil }

    /// The keys with that id that may be used with `algorithm`: by their own kind, and by what the set says of them. More than one are no one's.
    func key(_ id: String, _ algorithm: TokenAlgorithm) -> TokenKey? {
        let fitting = (entries[id] ?? []).filter { $0.key.fits(algorithm) && ($0.algorithm ?? algorithm.rawValue) == algorithm.rawValue }
        return fitting.count == 1 ? fitting[0].key : nil
    }
}
