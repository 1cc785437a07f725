import ManagedAgentsClient
import PosternEgress
import PosternMCP
import Synchronization

/// Connections to the authorization server, one pool for each host that it has. `shutdown()` must be called once, last.
final class AuthorityTransports: Sendable {
    private let proxy: Proxy?
    private let caFile: String?
    private let transports = Mutex<[String: AsyncHTTPTransport]>([:])

    init(proxy: Proxy?, caFile: String?) {
        self.proxy = proxy
        self.caFile = caFile
    }

    /// Addresses of metadata services and others at which no service is are refused, whatever name leads there.
    func transport(to host: BaseURL) throws(TransportError) -> any ClientTransport {
        let made = transports.withLock { transports -> Result<AsyncHTTPTransport, TransportError> in
            if let transport = transports["\(host)"] { return .success(transport) }
            var configuration = AsyncHTTPTransport.Configuration(baseURL: host, caFile: caFile, proxy: proxy)
            configuration.trustsSystem = caFile == nil
            configuration.warmConnections = 0
            let peer = ServicePeer(host: configuration.dialledHost)
            configuration.checkConnection = { peer.check($0) }
            do throws(TransportError) {
                let transport = try AsyncHTTPTransport(configuration)
                transports["\(host)"] = transport
                return .success(transport)
            } catch {
                return .failure(error)
            }
        }
        return try made.get()
    }

    func shutdown() async {
        for transport in transports.withLock({ $0.values.map { $0 } }) { await transport.shutdown() }
    }
}
