import Crypto
import ManagedAgentsClient
import PosternTunnelWire

/// All that makes two connections interchangeable: who calls, which host, by whose word, past which edge and how. Connections with different keys
/// are never taken for one another.
package struct TunnelKey: Sendable, Hashable {
    private let certificate: String
    private let authorities: Set<String>
    private let route: TunnelRoute
    /// A digest; the API key itself is kept in no table.
    private let apiKey: String?

    package init(_ route: TunnelRoute, _ credentials: TunnelCredentials) {
        certificate = credentials.fingerprint
        authorities = Set(credentials.authorities.map(\.fingerprint))
        self.route = route
        apiKey = credentials.apiKey.map { Hexadecimal.text(SHA256.hash(data: Array($0.value.utf8))) }
    }
}
