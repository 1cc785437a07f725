import Crypto
import NIOCore
import NIOSSL
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire

/// By what an edge takes a connector's key for proved.
package enum LegProofRule: Hashable, Sendable {
    /// The client certificate of outer TLS, and nothing else.
    case certificate
    /// Also a signed challenge, where something on the way ends TLS.
    /// - terminators: hex of the SHA-256 of the certificates, in DER, that those show to connectors, besides the edge's own; `nil` where it may be any
    ///   that the connector believes.
    case challenge(terminators: Set<String>?)

    /// Those of the certificates in a PEM text; `nil` where it holds none.
    package static func fingerprints(pem: [UInt8]) -> Set<String>? {
        guard let list = try? NIOSSLCertificate.fromPEMBytes(pem), !list.isEmpty else { return nil }
        return Set(list.compactMap { try? $0.toDERBytes() }.map { Hexadecimal.text(SHA256.hash(data: $0)) })
    }
}

/// Finds out which key whoever asks for something holds.
struct KeyDesk: Sendable {
    /// The edge's own name.
    let own: String
    let rule: LegProofRule
    /// Hex of the SHA-256 of the edge's own certificate.
    let certificate: String
    /// For the answer to a challenge, which counts no longer.
    let time: TimeAmount

    init(_ settings: EdgeSettings) throws {
        own = settings.domain
        rule = settings.legProof
        time = settings.limits.proof
        let der = try NIOSSLCertificate.fromPEMBytes(settings.certificate).first?.toDERBytes() ?? []
        certificate = Hexadecimal.text(SHA256.hash(data: der))
    }

    /// The key whose use was proved: in the handshake, or by a challenge where the request asks for one. After that the answer to the request is
    /// written on the same stream.
    func key(of stream: ByteStream, _ head: RequestHead, _ subject: LegProof.Subject) async throws -> ConnectorKey {
        if head.upgrade == LegProof.upgrade { return try await challenge(stream, subject) }
        guard let certificate = try await ClientCertificate.of(stream), let key = ConnectorKey(certificate: certificate) else {
            throw LegRefusal(
                .noConnectorKey,
                "the connector's key is needed as client certificate of TLS: ECDSA on P-256. Where something on the way ends TLS, set edges.proof to challenge"
            )
        }
        return key
    }

    private func challenge(_ stream: ByteStream, _ subject: LegProof.Subject) async throws -> ConnectorKey {
        guard case .challenge(let terminators) = rule else {
            throw LegRefusal(.proofNotTaken, "this edge takes the client certificate of TLS alone: set edges.proof to certificate")
        }
        let challenge = LegProof.Challenge(edge: own)
        try await stream.write(LegProof.accepted + challenge.line)
        var reader = MessageReader(stream)
        guard let line = try await line(&reader) else { throw LegRefusal(.proofRefused, "the connection ended before the answer to the challenge") }
        let answer = try LegProof.Answer(line: line)
        guard reader.takeBuffer().readableBytes == 0 else { throw LegRefusal(.malformed, "nothing may follow the proof before its answer") }
        let key = try answer.verify(challenge, subject)
        // Where the connector saw another certificate than this edge's, somebody else has ended its TLS: one of those that may, or one that relays.
        guard answer.certificate == certificate || terminators?.contains(answer.certificate) ?? true else {
            throw LegRefusal(
                .proofRefused, "TLS was ended by a certificate that this edge does not know (SHA-256 \(answer.certificate.prefix(64)))")
        }
        return key
    }

    private func line(_ reader: inout MessageReader) async throws -> [UInt8]? {
        do {
            return try await reader.line(most: LegProof.longestLine, until: .now() + time)
        } catch is TimedOut {
            throw LegRefusal(.unavailable, "the answer to the challenge did not come in time; try again")
        }
    }
}
