import Crypto
import FoundationEssentials
import PosternJSON

/// What whoever watches a log is told: the head now, a proof that it extends the log of `since` entries, and the entries after those. Only the head is
/// signed: it says of the rest whether it is true.
package struct RegistrationAnswer: Hashable, Sendable {
    package var head: RegistrationHead
    /// The log key's SubjectPublicKeyInfo in DER.
    package var logKey: [UInt8]
    /// How many entries the asker has; 0 where it wants all.
    package var since: Int
    package var consistency: [MerkleTree.Hash]
    package var entries: [[UInt8]]

    /// Bytes of its JSON that are read.
    package static let maximumSize = 12 << 20

    package init(head: RegistrationHead, logKey: [UInt8], since: Int, consistency: [MerkleTree.Hash], entries: [[UInt8]]) {
        self.head = head
        self.logKey = logKey
        self.since = since
        self.consistency = consistency
        self.entries = entries
    }

    /// The answer of a log that has these entries: nothing but the head where it has fewer than `since`.
    package init(log: [[UInt8]], tunnelID: String, since: Int, time: Int, key: P256.Signing.PrivateKey) throws {
        let leaves = log.map { MerkleTree.leaf($0) }
        head = try RegistrationHead.sign(tunnelID: tunnelID, size: log.count, root: MerkleTree.root(leaves), time: time, with: key)
        logKey = Array(key.publicKey.derRepresentation)
        self.since = since
        consistency = MerkleTree.consistency(from: since, in: leaves) ?? []
        entries = Array(log.dropFirst(since))
    }

    package var json: JSON {
        [
            "type": "registrations", "head": head.json, "log_key": .string(Data(logKey).base64EncodedString()), "since": JSON(since),
            "consistency": .array(consistency.map { .string(Hexadecimal.text($0)) }),
            "entries": .array(entries.map { .string(String(decoding: $0, as: UTF8.self)) }),
        ]
    }

    package init(json: JSON) throws(RegistrationError) {
        guard let object = json.object, let head = object["head"], let key = object["log_key"]?.string.flatMap({ Data(base64Encoded: $0) }),
            let since = object["since"]?.int, since >= 0, let proof = object["consistency"]?.array, let entries = object["entries"]?.array,
            proof.count <= 128, entries.count <= RegistrationLedger.mostEntries
        else { throw .malformed("the answer about the log cannot be read") }
        let (hashes, texts) = (proof.compactMap { $0.string.flatMap(Hexadecimal.bytes) }, entries.compactMap(\.string))
        guard hashes.count == proof.count, texts.count == entries.count else { throw .malformed("the answer about the log cannot be read") }
        self.init(
            head: try RegistrationHead(json: head), logKey: Array(key), since: since, consistency: hashes, entries: texts.map { Array($0.utf8) })
    }
}
