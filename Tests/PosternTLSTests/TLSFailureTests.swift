import PosternTLS
import Testing

/// What follows from BoringSSL's texts, as NIOSSL 2 writes them.
@Suite("Failures of TLS")
struct TLSFailureTests {
    @Test(
        "each text has its meaning, and none is told with its place in somebody's source",
        arguments: [
            ("handshakeFailed(NIOSSL.BoringSSLError.sslError([Error: 268435581 \(place("CERTIFICATE_VERIFY_FAILED"))]))", TLSFailure.untrusted),
            ("NIOSSLExtraError.failedToValidateHostname: Couldn't find a.example.com in certificate from peer", .otherName),
            ("sslError([Error: 268436502 \(place("TLSV1_ALERT_CERTIFICATE_REQUIRED"))])", .certificateRefused("CERTIFICATE_REQUIRED")),
            ("sslError([Error: 268436502 \(place("TLSV1_ALERT_UNKNOWN_CA"))])", .certificateRefused("UNKNOWN_CA")),
            ("handshakeFailed(NIOSSL.BoringSSLError.sslError([Error: 268436568 \(place("TLSV1_ALERT_UNRECOGNIZED_NAME"))]))", .unrecognizedName),
            ("handshakeFailed(NIOSSL.BoringSSLError.sslError([Error: 268436536 \(place("TLSV1_ALERT_INTERNAL_ERROR"))]))", .internalError),
            ("handshakeFailed(NIOSSL.BoringSSLError.sslError([Error: 268435703 \(place("WRONG_VERSION_NUMBER"))]))", .oldProtocol),
            ("sslError([Error: 268436526 \(place("TLSV1_ALERT_PROTOCOL_VERSION"))])", .oldProtocol),
            ("sslError([Error: 268436576 \(place("TLSV1_ALERT_NO_APPLICATION_PROTOCOL"))])", .noApplicationProtocol),
            ("handshakeFailed(NIOSSL.BoringSSLError.sslError([Error:  EOF during handshake]))", .ended),
            ("sslError([Error: 268435462 \(place("BAD_DECRYPT"))])", .other("BAD_DECRYPT")), ("uncleanShutdown", .other("uncleanShutdown")),
        ])
    func meaning(text: String, expected: TLSFailure) {
        let failure = TLSFailure(text: text)
        #expect(failure == expected)
        #expect(!failure.description.isEmpty && !failure.description.contains("/") && !failure.description.contains("OPENSSL_internal"))
    }

    private static func place(_ name: String) -> String {
        "error:1000007d:SSL routines:OPENSSL_internal:\(name) at /somewhere/swift-nio-ssl/Sources/CNIOBoringSSL/ssl/handshake.cc:393"
    }
}
