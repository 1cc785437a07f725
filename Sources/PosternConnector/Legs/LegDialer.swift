import NIOCore
import NIOPosix
import NIOSSL
import PosternHTTP
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire

/// No edge was reached: TCP did not come about.
struct LegUnanswered: Error, CustomStringConvertible {
    let reason: String
    var description: String { reason }
}

/// Dials legs: TCP, outer TLS with the connector's key, the request, and the switch to HTTP/2.
struct LegDialer: Sendable {
    let edges: ConnectorConfiguration.Edges
    let tls: NIOSSLContext
    let resolve: ConnectorResolver
    let group: any EventLoopGroup
    let times: ConnectorTimes

    /// Throws `LegRefusal` where the edge says no, else what kept it from being asked.
    func dial(_ address: Authority, _ request: LegRequest, _ events: Leg.Events) async throws -> Leg {
        let channel = try await connect(address)
        do {
            let stream = try await ByteStream.attach(to: channel)
            let (tls, name) = (tls, edges.name)
            _ = try await stream.startTLS(within: times.dial) { try NIOSSLClientHandler(context: tls, serverHostname: name) }
            try await stream.write(request.encoded(host: name))
            var reader = MessageReader(stream)
            guard let lines = try await reader.head(idle: times.dial, whole: times.dial) else {
                throw ConnectorError("the edge closed the connection without an answer")
            }
            let head = try ResponseHead(lines: lines)
            guard try LegAnswer.isAccepted(head) else { throw LegAnswer.refusal(head, body: try await body(of: head, &reader)) }
            return try await Leg.begin(.connector, on: stream, rest: reader.takeBuffer(), times: times.leg, events)
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }

    private func body(of head: ResponseHead, _ reader: inout MessageReader) async throws -> [UInt8] {
        var body = BodyReader(try BodyFraming(response: head, to: "POST"))
        var bytes: [UInt8] = []
        while bytes.count < LegAnswer.maximumBody, let part = try await reader.part(of: &body, within: times.dial) { bytes += part.readableBytesView }
        return bytes
    }

    /// An edge is where the operator says; that is no place for metadata services all the same.
    private func connect(_ address: Authority) async throws -> any Channel {
        let host = address.host.description
        let allowed = ServiceAddresses(host: host)
        let candidates: [IPAddress]
        do {
            candidates = if case .address(let known) = address.host { [known] } else { try await resolve(host) }
        } catch {
            throw LegUnanswered(reason: "\(error)")
        }
        var failure: any Error = LegUnanswered(reason: "\(host) has no address")
        for candidate in candidates.prefix(4) {
            do {
                if let refusal = allowed.refusal(of: candidate) { throw refusal }
                let target = try SocketAddress(packedIPAddress: ByteBuffer(bytes: candidate.bytes), port: Int(address.port))
                return try await ClientBootstrap(group: group)
                    .connectTimeout(times.connect)
                    .channelOption(.autoRead, value: false)
                    .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .connect(to: target).get()
            } catch {
                try Task.checkCancellation()
                failure = error is ServiceAddressRefusal ? error : LegUnanswered(reason: "\(error)")
            }
        }
        throw failure
    }
}
