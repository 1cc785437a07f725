import NIOCore
import NIOSSL
import PosternTunnelLink

/// What an edge is started with.
package struct EdgeSettings: Sendable {
    /// Empty for every address of this machine, of both families.
    package var host: String
    /// 0 takes a free port.
    package var port: Int
    /// A listening socket that takes the place of host and port; the edge owns it.
    package var listener: Int32?
    /// Canonical: the edge's own name, below which the tunnels' domains are.
    package var domain: String
    /// PEM.
    package var certificate: [UInt8]
    package var key: [UInt8]
    package var legProof = LegProofRule.certificate
    package var limits = EdgeLimits()

    package init(host: String, port: Int, domain: String, certificate: [UInt8], key: [UInt8]) {
        self.host = host
        self.port = port
        self.domain = domain
        self.certificate = certificate
        self.key = key
    }

    /// Outer TLS: 1.3 only; a client certificate is taken where one is shown, and nothing of it is verified but that its key was used.
    func outerTLS() throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMBytes(certificate).map { NIOSSLCertificateSource.certificate($0) }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(bytes: key, format: .pem)))
        configuration.minimumTLSVersion = .tlsv13
        configuration.applicationProtocols = ["http/1.1"]
        configuration.certificateVerification = .optionalVerification
        configuration.trustRoots = .certificates([])
        configuration.shutdownTimeout = .seconds(1)
        return try NIOSSLContext(configuration: configuration)
    }
}

/// What one edge gives to everybody who comes. Tests shorten the times.
package struct EdgeLimits: Sendable {
    package var shares = EdgeShareLimits()
    /// For a whole ClientHello.
    package var hello = TimeAmount.seconds(5)
    /// For the outer handshake.
    package var handshake = TimeAmount.seconds(5)
    /// For a connector's answer to a challenge.
    package var proof = TimeAmount.seconds(5)
    /// For a whole request on the edge's own name.
    package var request = TimeAmount.seconds(5)
    /// For the whole ClientHello of inner TLS after a CONNECT was granted: before it, a call takes no stream of a leg.
    package var firstBytes = TimeAmount.seconds(10)
    /// For a connector that reconnects, before a call fails.
    package var reconnect = TimeAmount.seconds(10)
    /// For a connector's answer to a stream.
    package var answer = TimeAmount.seconds(10)
    /// A call one of whose sides takes nothing of what waits for it for so long is ended.
    package var stall = TimeAmount.seconds(60)
    /// A call on which nothing moves for so long is ended.
    package var idle = TimeAmount.minutes(15)
    /// Between two questions whether the credentials of running calls still count.
    package var recheck = TimeAmount.milliseconds(500)
    /// For the calls that run when the edge is asked to end.
    package var drain = TimeAmount.seconds(20)
    package var leg = Leg.Times()
    /// For the control plane's word on the person in a runtime certificate; then what was last known holds.
    package var ask = TimeAmount.seconds(1)
    /// Bytes by which the windows of all legs' streams together may grow beyond those with which streams begin.
    package var windows = 1 << 30
    /// Seconds on a clock that never goes back: rates and what was heard go by it. Tests stop it.
    package var clock: @Sendable () -> Double = { EdgeShares.now }

    package init() {}
}
