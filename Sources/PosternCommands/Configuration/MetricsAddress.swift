/// Where a worker's metrics are read: on loopback, or on a unix socket.
enum MetricsAddress: Sendable, Equatable, CustomStringConvertible {
    case loopback(ListenAddress)
    /// An absolute path.
    case socket(String)

    init(_ text: String) throws(ConfigurationError) {
        if text.hasPrefix("/") {
            guard text.utf8.count < Self.longestSocketPath else {
                throw ConfigurationError("metrics_listen: \(text) is too long for a unix socket: at most \(Self.longestSocketPath - 1) bytes")
            }
            self = .socket(text)
            return
        }
        let address: ListenAddress
        do throws(ConfigurationError) {
            address = try ListenAddress(text)
        } catch {
            throw ConfigurationError(
                "metrics_listen: \"\(text)\" is no address: write HOST:PORT of loopback, such as 127.0.0.1:9464, or the absolute path of a unix socket"
            )
        }
        guard address.isLoopback else {
            throw ConfigurationError(
                "metrics_listen: plain HTTP is served on loopback only, and \(address.host) is reachable from elsewhere: use 127.0.0.1:\(address.port) "
                    + "or the path of a unix socket, and let an agent on this machine forward what it reads")
        }
        self = .loopback(address)
    }

    /// What fits in a socket address of Linux with its end.
    private static let longestSocketPath = 108

    var description: String {
        switch self {
        case .loopback(let address): address.description
        case .socket(let path): path
        }
    }
}
