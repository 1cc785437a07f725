import FoundationEssentials
import NIOSSL
import PosternTunnelWire

/// What legs are dialled by. Where it changes, new legs take over from those that stand.
struct LegPlan: Hashable, Sendable {
    let tunnelID: String
    let edges: ConnectorConfiguration.Edges
    let legs: Int
    let name: String
    private let key: ConnectorKey
    private let certificate: NIOSSLCertificate
    private let authorities: [NIOSSLCertificate]?
    private let proxyAuthorities: [NIOSSLCertificate]?
    private let proxySecret: String?
    /// Told to edges. Seconds since 1970.
    let certificateExpires: Int

    init(_ configuration: ConnectorConfiguration, _ material: ConnectorMaterial) {
        tunnelID = configuration.tunnel.id
        edges = configuration.edges
        legs = configuration.legs
        name = configuration.name
        key = material.key
        certificate = material.connectorCertificate
        authorities = material.edgeAuthorities
        proxyAuthorities = material.proxyAuthorities
        proxySecret = material.proxySecret
        certificateExpires = Int(material.serverExpires.timeIntervalSince1970)
    }
}
