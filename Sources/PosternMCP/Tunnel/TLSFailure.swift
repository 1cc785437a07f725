import NIOSSL
import PosternHTTP
import PosternTunnelLink

/// What TLS said, as far as something follows from it. BoringSSL tells it as text only.
enum TLSFailure: Sendable, Equatable {
    /// The alerts by which a client certificate is refused (RFC 8446, section 6.2).
    case certificateRefused(String)
    case unrecognizedName
    case internalError
    case oldProtocol
    case noApplicationProtocol
    /// The connection ended.
    case ended
    case timedOut
    case other(String)

    init(_ error: any Error) {
        if error is TimedOut {
            self = .timedOut
            return
        }
        let text = "\(error)"
        let alerts = [
            "CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED", "CERTIFICATE_UNKNOWN",
            "UNSUPPORTED_CERTIFICATE", "ACCESS_DENIED",
        ]
        if let alert = alerts.first(where: { text.contains("ALERT_\($0)") }) {
            self = .certificateRefused(alert)
        } else if text.contains("ALERT_UNRECOGNIZED_NAME") {
            self = .unrecognizedName
        } else if text.contains("ALERT_INTERNAL_ERROR") {
            self = .internalError
        } else if ["UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION", "WRONG_VERSION_NUMBER"].contains(where: { text.contains($0) }) {
            self = .oldProtocol
        } else if ["NO_APPLICATION_PROTOCOL", "INVALID_ALPN_PROTOCOL"].contains(where: { text.contains($0) }) {
            self = .noApplicationProtocol
        } else if text.contains("EOF during handshake") || text.contains("eofDuringHandshake") {
            self = .ended
        } else {
            self = .other(Self.short(text))
        }
    }

    /// The name of BoringSSL's error without its place in the source.
    private static func short(_ text: String) -> String {
        for part in text.split(whereSeparator: { ":[]() ".contains($0) }) where part.count > 6 {
            if part.utf8.allSatisfy({ (65...90).contains($0) || (48...57).contains($0) || $0 == 95 }), part.contains("_") { return String(part) }
        }
        return String(text.prefix(300))
    }

    var text: String {
        switch self {
        case .certificateRefused(let alert): "TLS alert \(alert)"
        case .unrecognizedName: "TLS alert UNRECOGNIZED_NAME"
        case .internalError: "TLS alert INTERNAL_ERROR"
        case .oldProtocol: "the other side speaks no TLS 1.3"
        case .noApplicationProtocol: "no agreement on a protocol (ALPN)"
        case .ended: "the connection ended"
        case .timedOut: "nothing came in time"
        case .other(let text): text
        }
    }
}
