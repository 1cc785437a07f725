import ManagedAgentsClient
import PosternEgress

extension AsyncHTTPTransport {
    /// The transport to a control plane that the operator has named, held to the addresses at which one may be.
    static func toControlPlane(_ baseURL: BaseURL, caFile: String?, proxy: Proxy?) throws(TransportError) -> AsyncHTTPTransport {
        var configuration = Configuration(baseURL: baseURL, caFile: caFile, proxy: proxy)
        let peer = ServicePeer(host: configuration.dialledHost)
        configuration.checkConnection = { peer.check($0) }
        return try AsyncHTTPTransport(configuration)
    }
}
