import PosternTunnelWire
import SwiftASN1
import X509

/// The tunnels that the control plane has told of, and who signs the runtime certificates of their workspaces. A value.
struct KnownTunnels: Sendable {
    private let tunnels: [String: EdgeTunnel]
    /// Ids by domain.
    private let domains: [String: String]
    /// Of runtimes, by workspace.
    private let authorities: [String: Certificate]

    init(_ live: EdgeTunnels) {
        tunnels = Dictionary(live.tunnels.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        domains = Dictionary(live.tunnels.map { ($0.domain, $0.id) }, uniquingKeysWith: { first, _ in first })
        // One that cannot be read opens nothing.
        authorities = live.authorities.compactMapValues { try? Certificate(pemEncoded: $0) }
    }

    subscript(id: String) -> EdgeTunnel? { tunnels[id] }

    func tunnel(domain: String) -> EdgeTunnel? { domains[domain].flatMap { tunnels[$0] } }

    func authority(workspaceID: String) -> Certificate? { authorities[workspaceID] }

    /// Of all tunnels' connectors.
    var connectorKeys: Set<String> { Set(tunnels.values.flatMap(\.connectorKeys)) }

    /// Tunnels that are new, gone, or not as they were.
    func changes(since before: KnownTunnels?) -> Set<String> {
        let old = before?.tunnels ?? [:]
        return Set(old.keys).union(tunnels.keys).filter { old[$0] != tunnels[$0] }
    }
}
