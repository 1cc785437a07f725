import Crypto
import NIOCore
import NIOPosix
import NIOSSL
import PosternHTTP
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire

/// Dials legs: the way to the edge, outer TLS with the connector's key, the request, and the switch to HTTP/2.
struct LegDialer: Sendable {
    let edges: ConnectorConfiguration.Edges
    let tls: NIOSSLContext
    /// The connector's key, for challenges.
    let signer: P256.Signing.PrivateKey
    let path: EdgePath
    let times: ConnectorTimes

    init(
        edges: ConnectorConfiguration.Edges, tls: NIOSSLContext, signer: P256.Signing.PrivateKey, proxy: CorporateProxy?,
        resolve: @escaping ConnectorResolver,
        group: any EventLoopGroup, times: ConnectorTimes
    ) {
        self.edges = edges
        self.tls = tls
        self.signer = signer
        self.times = times
        path = EdgePath(proxy: proxy, resolve: resolve, group: group, connectTime: times.connect, time: times.dial)
    }

    /// Throws `LegRefusal` where the edge says no, `ProxyRefusal` where a proxy does, else what kept the edge from being asked.
    /// - Parameter done: hears of each step that was done, on the task that dials.
    func dial(_ address: Authority, _ request: LegRequest, _ events: Leg.Events, done: @Sendable (DialStep) -> Void = { _ in }) async throws -> Leg {
        let stream = try await path.connect(to: address, done)
        do {
            let certificate = try await startTLS(stream)
            done(.outerTLS(certificate: certificate))
            try await stream.write(request.encoded(host: edges.name, upgrade: upgrade))
            var reader = MessageReader(stream)
            try await prove(&reader, .init(request), certificate: certificate)
            guard let lines = try await reader.head(idle: times.dial, whole: times.dial) else {
                throw DialError("the edge closed the connection without an answer")
            }
            let head = try ResponseHead(lines: lines)
            done(.answered(date: head.fields.named("date").first?.text))
            guard try LegAnswer.isAccepted(head) else { throw try await refusal(head, &reader) }
            let leg = try await Leg.begin(.connector, on: stream, rest: reader.takeBuffer(), times: times.leg, events)
            done(.accepted)
            return leg
        } catch {
            stream.close()
            throw error
        }
    }

    /// The edge's certificate in DER. Below may be a proxy's TLS, so the handler is kept and not looked for.
    func startTLS(_ stream: ByteStream) async throws -> [UInt8] {
        let (tls, name) = (tls, edges.name)
        let handler = NIOLoopBoundBox.makeEmptyBox(valueType: NIOSSLClientHandler.self, eventLoop: stream.channel.eventLoop)
        _ = try await stream.startTLS(within: times.dial) {
            let made = try NIOSSLClientHandler(context: tls, serverHostname: name)
            handler.value = made
            return made
        }
        return try await stream.channel.eventLoop.submit { try handler.value?.peerCertificate?.toDERBytes() ?? [] }.get()
    }

    /// What the edge says instead of yes. A body that is longer than any of an edge's says nothing.
    func refusal(_ head: ResponseHead, _ reader: inout MessageReader) async throws -> LegRefusal {
        let framing = try BodyFraming(response: head, to: "POST")
        do {
            return LegAnswer.refusal(head, body: try await reader.body(framing, most: JSONAnswer.longestRefusal, until: .now() + times.dial))
        } catch is BodyTooLarge {
            return LegAnswer.refusal(head, body: [])
        }
    }
}
