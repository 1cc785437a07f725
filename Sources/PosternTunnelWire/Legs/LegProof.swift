import Crypto
import FoundationEssentials
import PosternHTTP
import PosternJSON

/// How a connector proves its key where something on the way ends its TLS, so that its client certificate does not reach the edge. It asks for what it
/// wants with `Upgrade: postern-proof/1`; after the `101` the edge sends a challenge, a line of JSON, the connector answers with another, and what
/// follows is the answer to what was asked. Challenge and answer are of one connection: nothing of them counts on another.
package enum LegProof {
    package static let upgrade = "postern-proof/1"
    /// In bytes, with its end.
    package static let longestLine = 4096
    private static let domain = "postern leg proof v1"
    private static let nonceSize = 32

    /// What the key is proved for. Signed, since whoever ends TLS could change what was asked.
    package struct Subject: Hashable, Sendable {
        fileprivate let members: JSONObject

        package init(_ request: LegRequest) {
            members = [
                "path": .string(LegRequest.path), "tunnel": .string(request.tunnelID), "leg": .string(request.leg),
                "token": request.token.map { .string(Hexadecimal.text(SHA256.hash(data: Array($0.utf8)))) } ?? .null,
            ]
        }

        package init(_ request: RegistrationRequest) {
            members = ["path": .string(RegistrationRequest.path), "tunnel": .string(request.tunnelID), "since": JSON(request.since)]
        }
    }

    /// An edge's question. Its nonce is from the system's generator, and used once.
    package struct Challenge: Hashable, Sendable {
        /// The edge's own name.
        package let edge: String
        package let nonce: [UInt8]

        package init(edge: String) {
            var generator = SystemRandomNumberGenerator()
            self.edge = edge
            nonce = (0..<nonceSize).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        }

        /// Throws for what is no challenge.
        package init(line: [UInt8]) throws(LegRefusal) {
            guard let object = (try? JSON(parsing: line))?.object, object["type"]?.string == "leg_challenge", let edge = object["edge"]?.string,
                let nonce = object["nonce"]?.string.flatMap({ Data(base64Encoded: $0) }), nonce.count == nonceSize
            else { throw LegRefusal(.malformed, "what the edge sent is no challenge") }
            self.edge = edge
            self.nonce = Array(nonce)
        }

        package var line: [UInt8] {
            let json: JSON = ["type": "leg_challenge", "edge": .string(edge), "nonce": .string(Data(nonce).base64EncodedString())]
            return json.encoded + [UInt8(ascii: "\n")]
        }
    }

    /// A connector's answer.
    package struct Answer: Sendable {
        /// SubjectPublicKeyInfo in DER.
        package let key: [UInt8]
        /// Hex of the SHA-256 of the certificate that TLS showed the connector, in DER: the edge's own, or that of whoever ended TLS.
        package let certificate: String
        /// ECDSA in DER, over SHA-256.
        package let signature: [UInt8]

        /// - Parameters:
        ///   - edge: the name of the edge that the connector means, whatever the challenge says.
        ///   - certificate: in DER.
        package init(
            to challenge: Challenge, edge: String, _ subject: Subject, certificate: [UInt8], with signer: P256.Signing.PrivateKey
        ) throws {
            let fingerprint = Hexadecimal.text(SHA256.hash(data: certificate))
            key = Array(signer.publicKey.derRepresentation)
            self.certificate = fingerprint
            let signed = LegProof.signed(
                challenge.nonce, edge: edge, subject, certificate: fingerprint, key: ConnectorKey(signer.publicKey).fingerprint)
            signature = Array(try signer.signature(for: signed).derRepresentation)
        }

        /// Throws for what is no answer.
        package init(line: [UInt8]) throws(LegRefusal) {
            func bytes(_ json: JSON?) -> [UInt8]? { json?.string.flatMap { Data(base64Encoded: $0) }.map(Array.init) }
            guard let object = (try? JSON(parsing: line))?.object, object["type"]?.string == "leg_proof", let key = bytes(object["key"]),
                let certificate = object["certificate"]?.string, let signature = bytes(object["signature"])
            else { throw LegRefusal(.proofRefused, "what was sent is no answer to the challenge") }
            (self.key, self.certificate, self.signature) = (key, certificate, signature)
        }

        package var line: [UInt8] {
            let json: JSON = [
                "type": "leg_proof", "key": .string(Data(key).base64EncodedString()), "certificate": .string(certificate),
                "signature": .string(Data(signature).base64EncodedString()),
            ]
            return json.encoded + [UInt8(ascii: "\n")]
        }

        /// The key that is proved. Throws where the signature is not that key's over this challenge, this edge's name and this subject.
        package func verify(_ challenge: Challenge, _ subject: Subject) throws(LegRefusal) -> ConnectorKey {
            // In the one form that fingerprints are taken of.
            guard let parsed = try? P256.Signing.PublicKey(derRepresentation: key), Array(parsed.derRepresentation) == key else {
                throw LegRefusal(.noConnectorKey, "the proof is by no key on P-256")
            }
            let connector = ConnectorKey(parsed)
            let signed = LegProof.signed(
                challenge.nonce, edge: challenge.edge, subject, certificate: certificate, key: connector.fingerprint)
            guard let signature = try? P256.Signing.ECDSASignature(derRepresentation: signature), parsed.isValidSignature(signature, for: signed)
            else {
                throw LegRefusal(
                    .proofRefused,
                    "the connector's signature does not fit this challenge: it has to be over this edge's name (edges.name), this tunnel and this request"
                )
            }
            return connector
        }
    }

    private static func signed(_ nonce: [UInt8], edge: String, _ subject: Subject, certificate: String, key: String) -> [UInt8] {
        let json: JSON = [
            "type": "leg_proof", "nonce": .string(Data(nonce).base64EncodedString()), "edge": .string(edge), "subject": .object(subject.members),
            "certificate": .string(certificate), "key": .string(key),
        ]
        return Array(domain.utf8) + [0] + json.canonical
    }

    /// The `101` before the challenge.
    package static let accepted = Array("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: \(upgrade)\r\n\r\n".utf8)
}
