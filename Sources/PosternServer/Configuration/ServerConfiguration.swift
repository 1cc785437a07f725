import ManagedAgentsAPI

/// Where the server listens and what it puts up with.
package struct ServerConfiguration: Sendable {
    package struct TLS: Sendable, Equatable {
        /// PEM, leaf first.
        package var certificateFile: String
        package var keyFile: String
        package init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    package var host: String
    /// 0 lets the system choose.
    package var port: Int
    package var tls: TLS?

    /// Largest request body, in bytes.
    package var maximumBodySize = 32 << 20
    /// Largest request head, in bytes.
    package var maximumHeaderSize = 32 << 10
    /// Most events that one request may carry.
    package var maximumEventsPerRequest = 1000
    /// Connections open at the same time; more wait in the system's queue until one ends.
    package var maximumConnections = 20_000
    /// Event streams open at the same time, in all and for one credential.
    package var maximumStreams = 10_000
    package var maximumStreamsPerCredential = 2_000
    /// How often a quiet stream shows that it is alive.
    package var keepAlive = Duration.seconds(15)
    /// How long a connection may take nothing of what was written to it.
    package var stallTimeout = Duration.seconds(30)
    /// How long a connection may stay silent between requests or within one.
    package var idleTimeout = Duration.seconds(75)
    /// Whether `GET /metrics` asks for an API key. By default it does as soon as others than this machine can reach the port.
    package var metricsNeedKey: Bool

    package init(host: String = "127.0.0.1", port: Int = 8400, tls: TLS? = nil) {
        self.host = host
        self.port = port
        self.tls = tls
        metricsNeedKey = !Loopback.includes(host)
    }

    /// - Throws: `ConfigurationRefusal` for what must not be served.
    package func validate() throws(ConfigurationRefusal) {
        guard tls != nil || Loopback.includes(host) else {
            throw ConfigurationRefusal(
                "listen: plain HTTP is served on loopback only, and \(host) is not. Give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a "
                    + "proxy that ends TLS.")
        }
        guard (0...65_535).contains(port) else { throw ConfigurationRefusal("listen: \(port) is no port") }
    }
}

package struct ConfigurationRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}
