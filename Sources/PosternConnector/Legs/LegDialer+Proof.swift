import NIOCore
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire

extension LegDialer {
    /// How the connector's key is proved, as the request for something says it.
    var upgrade: String? { edges.proof == .challenge ? LegProof.upgrade : nil }

    /// Answers the edge's challenge, where the key is proved by one. What comes after that is the answer to the request. Throws `LegRefusal` where the
    /// edge says no instead.
    /// - Parameter certificate: what TLS showed, in DER.
    func prove(_ reader: inout MessageReader, _ subject: LegProof.Subject, certificate: [UInt8]) async throws {
        guard edges.proof == .challenge else { return }
        guard let lines = try await reader.head(idle: times.dial, whole: times.dial) else {
            throw DialError("the edge closed the connection without an answer")
        }
        let head = try ResponseHead(lines: lines)
        guard head.status == 101 else { throw try await refusal(head, &reader) }
        guard head.fields.named("upgrade").map({ $0.text.lowercased() }) == [LegProof.upgrade] else {
            throw LegRefusal(.malformed, "the edge switches to another protocol than \(LegProof.upgrade)")
        }
        guard let line = try await reader.line(most: LegProof.longestLine, until: .now() + times.dial) else {
            throw DialError("the edge closed the connection without a challenge")
        }
        let challenge = try LegProof.Challenge(line: line)
        // Nothing is signed for an edge of another name, which could show it to that one.
        guard challenge.edge == edges.name else {
            throw LegRefusal(.malformed, "the challenge is of the edge \(challenge.edge.prefix(253)), not of \(edges.name)")
        }
        let answer = try LegProof.Answer(to: challenge, edge: edges.name, subject, certificate: certificate, with: signer)
        try await reader.stream.write(answer.line)
    }
}
