import NIOCore
import PosternEgress
import PosternMCP
import PosternRuntime
import Synchronization

/// The edge that the control plane dials for the MCP servers of agents: the one that is named, or the one beside it, which is known when it listens.
final class DialledEdge: Sendable {
    private let domain: String?
    private let authorities: String?
    private let address: Mutex<EdgeAddress?>

    init(_ settings: ServeSettings) {
        domain = settings.tunnelDomain
        authorities = settings.edgeAuthorities
        address = Mutex(settings.dialledEdge)
    }

    /// The edge beside the server listens there. One that is named comes first.
    func found(_ own: EdgeAddress) { address.withLock { $0 = $0 ?? own } }

    private var edge: TunnelRoute.Edge? {
        guard let domain, let address = address.withLock({ $0 }) else { return nil }
        return TunnelRoute.Edge(addresses: [address], name: domain, authorities: authorities)
    }

    var runtime: RuntimeSettings {
        var settings = RuntimeSettings(identity: Implementation(name: "postern", version: PosternVersion.text)) { self.edge }
        settings.checkConnection = { channel in
            guard let host = self.address.withLock({ $0?.host }) else { return channel.eventLoop.makeSucceededVoidFuture() }
            return ServicePeer(host: host).check(channel)
        }
        return settings
    }
}
