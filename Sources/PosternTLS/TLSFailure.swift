/// What a TLS handshake, or a connection over TLS, failed with, as far as something follows from it. BoringSSL tells it as text only.
package enum TLSFailure: Sendable, Hashable, CustomStringConvertible {
    /// The other side's certificate.
    case untrusted, otherName
    /// The alerts by which a certificate of this side is refused (RFC 8446, section 6.2).
    case certificateRefused(String)
    case unrecognizedName
    case internalError
    case oldProtocol
    case noApplicationProtocol
    /// The connection ended.
    case ended
    case timedOut
    case other(String)

    /// - Parameter text: an error of NIOSSL, written out.
    package init(text: String) {
        func says(_ parts: String...) -> Bool { parts.contains { text.contains($0) } }
        let refusals = [
            "CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED", "CERTIFICATE_UNKNOWN",
            "UNSUPPORTED_CERTIFICATE", "ACCESS_DENIED",
        ]
        if let alert = refusals.first(where: { text.contains("ALERT_\($0)") }) {
            self = .certificateRefused(alert)
        } else if says("ALERT_UNRECOGNIZED_NAME") {
            self = .unrecognizedName
        } else if says("ALERT_INTERNAL_ERROR") {
            self = .internalError
        } else if says("UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION", "WRONG_VERSION_NUMBER") {
            self = .oldProtocol
        } else if says("NO_APPLICATION_PROTOCOL", "INVALID_ALPN_PROTOCOL") {
            self = .noApplicationProtocol
        } else if says("failedToValidateHostname", "HOSTNAME_MISMATCH") {
            self = .otherName
        } else if says("CERTIFICATE_VERIFY_FAILED") {
            self = .untrusted
        } else if says("EOF during handshake", "eofDuringHandshake") {
            self = .ended
        } else {
            self = .other(Self.name(in: text) ?? String(text.prefix(300)))
        }
    }

    /// BoringSSL's name for an error, without its place in the source.
    private static func name(in text: String) -> String? {
        for part in text.split(whereSeparator: { ":[]() ".contains($0) }) where part.count > 6 {
            if part.utf8.allSatisfy({ (65...90).contains($0) || (48...57).contains($0) || $0 == 95 }), part.contains("_") { return String(part) }
        }
        return nil
    }

    package var description: String {
        switch self {
        case .untrusted: "the certificate is of no authority that is trusted, or has expired (CERTIFICATE_VERIFY_FAILED)"
        case .otherName: "the certificate is for another name"
        case .certificateRefused(let alert): "TLS alert \(alert)"
        case .unrecognizedName: "nobody there goes by that name (TLS alert UNRECOGNIZED_NAME)"
        case .internalError: "TLS alert INTERNAL_ERROR"
        case .oldProtocol: "the other side speaks no TLS, or no version of it that is spoken here"
        case .noApplicationProtocol: "no agreement on a protocol (ALPN)"
        case .ended: "the connection ended in the TLS handshake"
        case .timedOut: "nothing came in time"
        case .other(let text): text
        }
    }
}
