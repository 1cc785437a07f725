import NIOCore
import NIOPosix
import NIOSSL
import PosternPolicy
import PosternTunnelLink

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

/// Connects to the upstream of one route: resolves, checks each address, and dials exactly a checked one.
struct UpstreamDialer: Sendable {
    let route: ConnectorConfiguration.Route
    let tls: NIOSSLContext?
    let resolve: ConnectorResolver
    let group: any EventLoopGroup
    let time: TimeAmount

    func connect() async throws(CallError) -> UpstreamLink {
        let addresses = try await checked()
        var failure = CallError.upstreamConnection("its name has no address")
        for address in addresses.prefix(4) {
            do {
                return try await dial(address)
            } catch {
                failure = Self.isLate(error) ? .upstreamTimeout("\(address) did not connect in time (limits.connect)") : .upstreamConnection("\(address): \(error)")
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

    private func checked() async throws(CallError) -> [IPAddress] {
        let addresses: [IPAddress]
        switch route.upstream.authority.host {
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

    private func dial(_ address: IPAddress) async throws -> UpstreamLink {
        let target = try SocketAddress(packedIPAddress: ByteBuffer(bytes: address.bytes), port: Int(route.upstream.authority.port))
        let channel = try await ClientBootstrap(group: group)
            .connectTimeout(time)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(to: target).get()
        do {
            let stream = try await ByteStream.attach(to: channel)
            if let tls {
                let host: String? = if case .name(let name) = route.upstream.authority.host { name } else { nil }
                _ = try await stream.startTLS(within: time) { try NIOSSLClientHandler(context: tls, serverHostname: host) }
            }
            return UpstreamLink(reader: MessageReader(stream))
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }
}
