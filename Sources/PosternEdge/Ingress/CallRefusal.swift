import PosternTLS
import PosternTunnelLink

/// Why a call does not reach a connector, with what is known of it.
enum CallRefusal: Error, Sendable, CustomStringConvertible {
    /// There is no such tunnel, or it is not open to this caller: both alike, so that nobody learns which tunnels there are.
    case notOpen
    /// The control plane has not told of its tunnels since the edge started.
    case notReady
    case noConnector(seconds: Int)
    case connector(LegStreamError)
    case noFirstBytes
    case notTLS

    /// For metrics.
    var reason: String {
        switch self {
        case .notOpen: "not_open"
        case .notReady: "not_ready"
        case .noConnector: "no_connector"
        case .connector: "connector"
        case .noFirstBytes: "no_first_bytes"
        case .notTLS: "not_tls"
        }
    }

    var description: String {
        switch self {
        case .notOpen: "there is no such tunnel, or it is not open to this caller"
        case .notReady: "the edge does not know its tunnels yet; try again"
        case .noConnector(let seconds): "no connector of the tunnel is connected, and none came within \(seconds) s; is it running?"
        case .connector(let error): "\(error)"
        case .noFirstBytes: "no whole ClientHello was sent on the tunnel in time"
        case .notTLS: "what was sent on the tunnel is not TLS"
        }
    }
}
