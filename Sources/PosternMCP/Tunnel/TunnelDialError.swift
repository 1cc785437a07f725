import ManagedAgentsClient
import PosternTunnelWire

/// Why no connection through a tunnel stands, and at which step it failed. In every case no byte of a request was sent.
package enum TunnelDialError: Error, Sendable, Hashable {
    // MARK: This side

    /// The client certificate has ended, or has not begun.
    case certificateEnded
    case certificateNotBegun

    // MARK: The edge

    case edgeConnection(address: String, reason: String)
    case edgeTLS(address: String, reason: String)
    /// The edge took the client certificate for none that counts (the TLS alert).
    case edgeRefusedCertificate(String)
    case connectRefused(status: Int, message: String)
    /// What came in place of an answer to `CONNECT`.
    case connectAnswer(String)
    /// `unrecognized_name` in the clear, which anybody on the way can write.
    case notOpen
    /// `internal_error` in the clear: the edge has no connector for the call.
    case noConnector
    /// The same of a call by a route's id. It is not tried by the route's name: an edge could bring that about.
    case noConnectorByID

    // MARK: The connector

    /// The rule that the connector's certificate breaks.
    case rule(CertificateRuleError)
    /// The other side speaks no TLS 1.3.
    case oldProtocol
    /// The other side did not agree on HTTP/1.1.
    case noApplicationProtocol
    case innerTLS(String)
    /// The connector refused the client certificate (the TLS alert, inside the inner TLS).
    case connectorRefusedCertificate(String)

    case tooSlow(Step)

    package enum Step: String, Sendable, Hashable {
        case edgeConnection = "edge TCP"
        case edgeTLS = "edge TLS"
        case connect = "CONNECT"
        case innerTLS = "inner TLS"
        case certificate = "client certificate"
    }

    package var step: Step {
        switch self {
        case .certificateEnded, .certificateNotBegun: .certificate
        case .edgeConnection: .edgeConnection
        case .edgeTLS, .edgeRefusedCertificate: .edgeTLS
        case .connectRefused, .connectAnswer: .connect
        case .notOpen, .noConnector, .noConnectorByID, .rule, .oldProtocol, .noApplicationProtocol, .innerTLS, .connectorRefusedCertificate: .innerTLS
        case .tooSlow(let step): step
        }
    }

    /// Whether another address of the edge may do better: the call was not opened, and nobody said no to the caller or is not whom it should be.
    package var isWorthAnotherAddress: Bool {
        switch self {
        case .edgeConnection, .noConnector, .noConnectorByID, .tooSlow: true
        case .connectRefused(let status, _): status >= 500
        default: false
        }
    }

    /// What the edge is told of it: only what the other end of inner TLS has done, and nothing that anybody on the way can write in the clear.
    var report: TunnelReport.Reason? {
        switch self {
        case .rule: .certificate
        case .oldProtocol: .oldProtocol
        case .noApplicationProtocol: .noApplicationProtocol
        default: nil
        }
    }

    /// Whether trying again cannot help: a rule says no.
    private var isFinal: Bool {
        switch self {
        case .certificateEnded, .rule, .oldProtocol, .noApplicationProtocol: true
        case .connectRefused(let status, _): status < 500
        default: false
        }
    }

    /// What a transport says of it.
    package var transportError: TransportError { isFinal ? .refused(description) : .connection(description) }
}

extension TunnelDialError: CustomStringConvertible {
    package var description: String { "\(step.rawValue): \(problem)" }

    private var problem: String {
        switch self {
        case .certificateEnded: "it has expired; issue a new one"
        case .certificateNotBegun: "it is not valid yet; compare the clocks"
        case .edgeConnection(let address, let reason): "\(address) cannot be connected: \(reason)"
        case .edgeTLS(let address, let reason): "the handshake with \(address) failed: \(reason)"
        case .edgeRefusedCertificate(let alert): "the edge refuses the client certificate (TLS alert \(alert))"
        case .connectRefused(407, let message):
            "the edge answers 407: \(message); it does not take client certificates: give an API key from a file, or go by splicing"
        case .connectRefused(let status, let message): "the edge answers \(status): \(message)"
        case .connectAnswer(let reason): "the edge's answer is none: \(reason)"
        case .notOpen: "the edge says that there is no such tunnel, or that it is not open to splicing"
        case .noConnector: "the edge says that no connector takes the call; is it running, and does it have the route?"
        case .noConnectorByID:
            "the edge says that no connector takes the call; is it running, and does it have the route? The route was called by its id and is called by "
                + "no name, so the connector also needs the tunnel's route key: `postern connector setup` fetches it, tunnel.route_key_file in the "
                + "connector's document names it"
        case .rule(let rule): "the connector's certificate is refused: \(rule)"
        case .oldProtocol: "the other side speaks no TLS 1.3, which is the least that is spoken here"
        case .noApplicationProtocol: "the other side did not agree on HTTP/1.1 (ALPN); is it a connector?"
        case .innerTLS(let reason): "the handshake failed: \(reason)"
        case .connectorRefusedCertificate(let alert):
            "the connector refuses the client certificate (TLS alert \(alert)): is it for this tunnel, and of the authority that the connector pins?"
        case .tooSlow: "it took too long"
        }
    }
}
