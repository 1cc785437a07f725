import NIOCore
import NIOPosix
import NIOSSL
import PosternHTTP
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire

/// A connection to an upstream. It belongs to one inner connection, and so to one identity.
struct UpstreamLink: Sendable {
    /// Between two answers: at the beginning of the next one.
    var reader: MessageReader
    /// When the last answer had come over it, since when the upstream may have closed it; `nil` for a connection that is new.
    var answered: NIODeadline?

    var stream: ByteStream { reader.stream }

    /// Whether it is unlikely that the upstream has closed it meanwhile.
    func isFresh(within time: TimeAmount) -> Bool { answered.map { .now() - $0 < time } ?? true }
}

/// Connects to the upstream of one route. Of a name, each address is checked, and exactly a checked one is dialled.
struct UpstreamDialer: Sendable {
    let route: ConnectorConfiguration.Route
    let tls: NIOSSLContext?
    let resolve: ConnectorResolver
    let group: any EventLoopGroup
    let time: TimeAmount
    /// Of a route with a command.
    var children: ChildRoute?

    /// - Parameter identity: who will send requests over it, and nobody else.
    func connect(for identity: RuntimeIdentity) async throws(CallError) -> UpstreamLink {
        switch route.upstream {
        case .network(_, let authority): return try await connect(to: authority)
        case .socket(let path):
            do { return try await dial(try SocketAddress(unixDomainSocketPath: path), nil) } catch {
                throw .upstreamConnection("unix:\(path): \(error)")
            }
        case .command:
            guard let children else { throw .upstreamConnection("this connector starts no servers") }
            return try await children.connect(for: identity)
        }
    }

    /// Past a unix socket and a command: to that host, under the route's address policy.
    func connect(to authority: Authority) async throws(CallError) -> UpstreamLink {
        let host: String? = if case .name(let name) = authority.host { name } else { nil }
        var failure = CallError.upstreamConnection("its name has no address")
        for address in try await checked(authority).prefix(4) {
            do {
                return try await dial(SocketAddress(packedIPAddress: ByteBuffer(bytes: address.bytes), port: Int(authority.port)), host)
            } catch {
                failure =
                    Self.isLate(error)
                    ? .upstreamTimeout("\(address) did not connect in time (limits.connect)") : .upstreamConnection("\(address): \(error)")
                if Task.isCancelled { break }
            }
        }
        throw failure
    }

    private static func isLate(_ error: any Error) -> Bool {
        if error is TimedOut { return true }
        switch error {
        case ChannelError.connectTimeout: return true
        case let error as NIOConnectionError: return error.connectionErrors.contains { isLate($0.error) }
        default: return false
        }
    }

    private func checked(_ authority: Authority) async throws(CallError) -> [IPAddress] {
        let addresses: [IPAddress]
        switch authority.host {
        case .address(let address): addresses = [address]
        case .name(let name): do { addresses = try await resolve(name) } catch { throw .unknownUpstreamName("\(error)") }
        }
        var refusal: UpstreamAddressRefusal?
        var allowed: [IPAddress] = []
        for address in addresses {
            if let reason = route.addresses.refusal(of: address) { refusal = refusal ?? reason } else { allowed.append(address) }
        }
        if allowed.isEmpty, let refusal { throw .upstreamAddress(refusal) }
        return allowed
    }

    private func dial(_ target: SocketAddress, _ host: String?) async throws -> UpstreamLink {
        // On the event loop of the caller's connection, where this runs: a call then changes threads nowhere.
        var bootstrap = ClientBootstrap(group: group.any())
            .connectTimeout(time)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
        if target.port != nil { bootstrap = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1) }
        let channel = try await bootstrap.connect(to: target).get()
        do {
            let stream = try await ByteStream.attach(to: channel)
            if let tls { _ = try await stream.startTLS(within: time) { try NIOSSLClientHandler(context: tls, serverHostname: host) } }
            return UpstreamLink(reader: MessageReader(stream))
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }
}
