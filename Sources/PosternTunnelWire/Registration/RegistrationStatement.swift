import Crypto
import FoundationEssentials
import PosternJSON
import SwiftASN1
import X509

/// What the holder of a key says of a registration: "this one is mine". Signed by the key of an authority that counts, or by the owner key, over a
/// prefix of its own and the members in the form of RFC 8785. It holds for one tunnel, one purpose and one subject, and once.
package struct RegistrationStatement: Hashable, Sendable {
    package enum Purpose: String, Hashable, Sendable, CaseIterable {
        /// The subject is an authority's fingerprint: lowercase hexadecimal SHA-256 of its DER.
        case certificate
        /// The subject is the fingerprint of the owner key: that of its SubjectPublicKeyInfo.
        case ownerKey = "owner_key"
        /// The subject is `api`: authorities count at once from then on.
        case registration
    }

    package var tunnelID: String
    package var purpose: Purpose
    package var subject: String
    /// When it was signed, seconds since 1970.
    package var time: Int
    /// Of the key that signs: lowercase hexadecimal SHA-256 of its SubjectPublicKeyInfo.
    package var key: String
    package var signature: [UInt8]

    /// In days: how long after its signing a statement can be used.
    package static let life = 30
    /// Bytes of its JSON.
    package static let maximumSize = 4096

    /// Signs with ECDSA or RSA (PKCS #1 v1.5), always over SHA-256.
    package static func sign(
        tunnelID: String, purpose: Purpose, subject: String, time: Int, with key: Certificate.PrivateKey
    ) throws -> RegistrationStatement {
        let fingerprint = KeyFingerprint.of(key.publicKey)
        guard let algorithm = KeyFingerprint.algorithm(of: key.publicKey) else {
            throw RegistrationError.malformed("the key is of a kind that signs no statements: use RSA or ECDSA on P-256, P-384 or P-521")
        }
        var statement = RegistrationStatement(
            tunnelID: tunnelID, purpose: purpose, subject: subject, time: time, key: fingerprint, signature: [])
        statement.signature = Array(try key.sign(bytes: statement.signed, signatureAlgorithm: algorithm).rawRepresentation)
        return statement
    }

    /// The same with a private key in PEM.
    package static func sign(
        tunnelID: String, purpose: Purpose, subject: String, time: Int, keyPEM: String
    ) throws -> RegistrationStatement {
        guard let key = try? Certificate.PrivateKey(pemEncoded: keyPEM) else {
            throw RegistrationError.malformed("it holds no private key in PEM: give an authority's key or the owner key")
        }
        return try sign(tunnelID: tunnelID, purpose: purpose, subject: subject, time: time, with: key)
    }

    /// Whether the key has signed it. Whose key that is, the caller knows.
    package func isSigned(by key: Certificate.PublicKey) -> Bool {
        guard KeyFingerprint.of(key) == self.key, let algorithm = KeyFingerprint.algorithm(of: key) else { return false }
        return key.isValidSignature(signature, for: signed, signatureAlgorithm: algorithm)
    }

    /// Two statements of one key that say the same are one: a signature can be written in more than one way.
    package var identity: [UInt8] { signed }

    private static let domain = "postern registration statement v1"

    private var signed: [UInt8] { Array(Self.domain.utf8) + [0] + JSON.object(members).canonical }

    private var members: JSONObject {
        [
            "key": .string(key), "purpose": .string(purpose.rawValue), "subject": .string(subject), "time": JSON(time),
            "tunnel": .string(tunnelID), "type": "registration_statement",
        ]
    }

    package var json: JSON {
        var object = members
        object["signature"] = .string(Data(signature).base64EncodedString())
        return .object(object)
    }

    package init(tunnelID: String, purpose: Purpose, subject: String, time: Int, key: String, signature: [UInt8]) {
        self.tunnelID = tunnelID
        self.purpose = purpose
        self.subject = subject
        self.time = time
        self.key = key
        self.signature = signature
    }

    package init(json: JSON) throws(RegistrationError) {
        guard let object = json.object, object["type"]?.string == "registration_statement", object.count == 7,
            let tunnel = object["tunnel"]?.string, let purpose = object["purpose"]?.string.flatMap(Purpose.init),
            let subject = object["subject"]?.string, let time = object["time"]?.int, let key = object["key"]?.string,
            let text = object["signature"]?.string, let signature = Data(base64Encoded: text), !signature.isEmpty,
            json.canonical.count <= Self.maximumSize
        else {
            throw .malformed("the statement is not one that `postern connector sign` writes: tunnel, purpose, subject, time, key and signature")
        }
        self.init(tunnelID: tunnel, purpose: purpose, subject: subject, time: time, key: key, signature: Array(signature))
    }
}

/// Keys that sign statements.
package enum KeyFingerprint {
    /// Lowercase hexadecimal SHA-256 of the SubjectPublicKeyInfo in DER.
    package static func of(_ key: Certificate.PublicKey) -> String {
        // A key that was read can be written; `subjectPublicKeyInfoBytes` is but the key inside of it, and stands for no other.
        let der = (try? key.serializeAsPEM().derBytes) ?? Array(key.subjectPublicKeyInfoBytes)
        return Hexadecimal.text(SHA256.hash(data: der))
    }

    /// `nil` for a kind that signs nothing here.
    static func algorithm(of key: Certificate.PublicKey) -> Certificate.SignatureAlgorithm? {
        if P256.Signing.PublicKey(key) != nil || P384.Signing.PublicKey(key) != nil || P521.Signing.PublicKey(key) != nil { return .ecdsaWithSHA256 }
        // An RSA key of 2048 bits or more: others do not get into a certificate that was read.
        return Curve25519.Signing.PublicKey(key) == nil ? .sha256WithRSAEncryption : nil
    }
}
