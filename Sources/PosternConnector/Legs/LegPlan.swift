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

    init(_ configuration: ConnectorConfiguration, _ material: ConnectorMaterial) {
        tunnelID = configuration.tunnel.id
        edges = configuration.edges
        legs = configuration.legs
        name = configuration.name
        key = material.key
        certificate = material.connectorCertificate
        authorities = material.edgeAuthorities
    }
}
