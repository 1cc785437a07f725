import Crypto
import FoundationEssentials
import PosternJSON

/// A signed tree head: at a time the log of a tunnel had this size and this root (RFC 9162, section 4.10, in JSON). Two heads that contradict each
/// other prove that the log was forked or rolled back, whoever brings them.
package struct RegistrationHead: Hashable, Sendable {
    package var tunnelID: String
    package var size: Int
    package var root: MerkleTree.Hash
    /// When it was signed, seconds since 1970.
    package var time: Int
    /// Lowercase hexadecimal SHA-256 of the log key's SubjectPublicKeyInfo.
    package var logKey: String
    /// ECDSA in DER, over SHA-256.
    package var signature: [UInt8]

    package static func sign(tunnelID: String, size: Int, root: MerkleTree.Hash, time: Int, with key: P256.Signing.PrivateKey) throws
        -> RegistrationHead
    {
        var head = RegistrationHead(
            tunnelID: tunnelID, size: size, root: root, time: time, logKey: Self.fingerprint(key.publicKey), signature: [])
        head.signature = Array(try key.signature(for: head.signed).derRepresentation)
        return head
    }

    package static func fingerprint(_ key: P256.Signing.PublicKey) -> String { Hexadecimal.text(SHA256.hash(data: key.derRepresentation)) }

    package func verify(tunnelID: String, by key: P256.Signing.PublicKey) throws(RegistrationError) {
        guard self.tunnelID == tunnelID else { throw .otherTunnel(self.tunnelID) }
        guard logKey == Self.fingerprint(key) else { throw .logKey(logKey) }
        guard let signature = try? P256.Signing.ECDSASignature(derRepresentation: signature), key.isValidSignature(signature, for: signed) else {
            throw .headSignature
        }
    }

    private static let domain = "postern registration head v1"

    private var signed: [UInt8] { Array(Self.domain.utf8) + [0] + JSON.object(members).canonical }

    private var members: JSONObject {
        [
            "log_key": .string(logKey), "root": .string(Hexadecimal.text(root)), "size": JSON(size), "time": JSON(time), "tunnel": .string(tunnelID),
            "type": "registration_head",
        ]
    }

    package var json: JSON {
        var object = members
        object["signature"] = .string(Data(signature).base64EncodedString())
        return .object(object)
    }

    package init(json: JSON) throws(RegistrationError) {
        guard let object = json.object, object["type"]?.string == "registration_head", let tunnel = object["tunnel"]?.string,
            let size = object["size"]?.int, size >= 0, let root = object["root"]?.string.flatMap(Hexadecimal.bytes), root.count == SHA256.byteCount,
            let time = object["time"]?.int, let logKey = object["log_key"]?.string,
            let signature = object["signature"]?.string.flatMap({ Data(base64Encoded: $0) })
        else { throw .malformed("the head of the log cannot be read") }
        self.init(tunnelID: tunnel, size: size, root: root, time: time, logKey: logKey, signature: Array(signature))
    }

    package init(tunnelID: String, size: Int, root: MerkleTree.Hash, time: Int, logKey: String, signature: [UInt8]) {
        self.tunnelID = tunnelID
        self.size = size
        self.root = root
        self.time = time
        self.logKey = logKey
        self.signature = signature
    }
}

extension Hexadecimal {
    /// The bytes of lowercase hexadecimal text; `nil` for anything else.
    package static func bytes(_ text: String) -> [UInt8]? {
        let digits = Array("0123456789abcdef".utf8)
        let values = text.utf8.compactMap { digits.firstIndex(of: $0) }
        guard values.count == text.utf8.count, values.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: values.count, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
    }
}
