import NIOCore
import NIOPosix
import NIOSSL
import PosternPolicy
import PosternTunnelLink

/// No edge, and no proxy, was reached: TCP did not come about.
struct LegUnanswered: Error, CustomStringConvertible {
    let reason: String
    var description: String { reason }

    /// Whether hardly anybody was asked to work for a try that ended so: there was no TCP, or it ended without a word, as where something takes connections
    /// for an edge that is away. One that is reset after its TLS is taken for the same.
    static func isSaid(by error: any Error) -> Bool {
        switch error {
        case is LegUnanswered, is IOError, ChannelError.eof, NIOSSLError.uncleanShutdown: true
        case NIOSSLError.handshakeFailed(.sslError(let errors)): errors == [.eofDuringHandshake]
        default: false
        }
    }
}

/// The way to an edge, up to where its TLS begins: TCP, by itself or through the corporate proxy.
struct EdgePath: Sendable {
    let proxy: CorporateProxy?
    let resolve: ConnectorResolver
    let group: any EventLoopGroup
    /// For TCP.
    let connectTime: TimeAmount
    /// For a proxy's TLS and its answer, each.
    let time: TimeAmount

    /// - Parameter done: hears of each step that was done.
    func connect(to edge: Authority, _ done: @Sendable (DialStep) -> Void) async throws -> ByteStream {
        guard let proxy else { return try await connectDirectly(to: edge, done) }
        let stream = try await connectDirectly(to: proxy.address, done)
        do {
            if let tls = proxy.tls {
                let name: String? = if case .name(let name) = proxy.address.host { name } else { nil }
                _ = try await stream.startTLS(within: time) { try NIOSSLClientHandler(context: tls, serverHostname: name) }
                done(.proxyTLS)
            }
            try await proxy.connect(stream, to: edge, within: time)
            done(.proxied)
            return stream
        } catch {
            stream.close()
            throw error
        }
    }

    /// An edge, and a proxy, is where the operator says; that is no place for metadata services all the same.
    private func connectDirectly(to peer: Authority, _ done: @Sendable (DialStep) -> Void) async throws -> ByteStream {
        let host = peer.host.description
        let allowed = ServiceAddresses(host: host)
        let candidates: [IPAddress]
        if case .address(let known) = peer.host {
            candidates = [known]
        } else {
            do { candidates = try await resolve(host) } catch { throw LegUnanswered(reason: "\(error)") }
            if !candidates.isEmpty { done(.resolved(host: host, addresses: candidates)) }
        }
        var failure: any Error = LegUnanswered(reason: "\(host) has no address")
        for candidate in candidates.prefix(4) {
            do {
                if let refusal = allowed.refusal(of: candidate) { throw refusal }
                let target = try SocketAddress(packedIPAddress: ByteBuffer(bytes: candidate.bytes), port: Int(peer.port))
                let channel = try await ClientBootstrap(group: group)
                    .connectTimeout(connectTime)
                    .channelOption(.autoRead, value: false)
                    .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .connect(to: target).get()
                done(.connected(candidate, port: peer.port))
                return try await ByteStream.attach(to: channel)
            } catch {
                try Task.checkCancellation()
                failure = error is ServiceAddressRefusal ? error : LegUnanswered(reason: "\(error)")
            }
        }
        throw failure
    }
}
