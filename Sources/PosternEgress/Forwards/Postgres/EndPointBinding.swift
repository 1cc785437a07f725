import Crypto
import NIOSSL
import SwiftASN1
import X509

/// The channel binding `tls-server-end-point` (RFC 5929, section 4.1).
enum EndPointBinding {
    /// The hash of the server's certificate: by the hash of its signature, SHA-256 in place of MD5 and SHA-1. `nil` where the signature
    /// names no hash (Ed25519), for which the binding is not defined.
    static func hash(of certificate: NIOSSLCertificate) throws -> [UInt8]? {
        let bytes = try certificate.toDERBytes()
        switch try Certificate(derEncoded: bytes).signatureAlgorithm {
        case .ecdsaWithSHA256, .sha256WithRSAEncryption, .sha1WithRSAEncryption: return Array(SHA256.hash(data: bytes))
        case .ecdsaWithSHA384, .sha384WithRSAEncryption: return Array(SHA384.hash(data: bytes))
        case .ecdsaWithSHA512, .sha512WithRSAEncryption: return Array(SHA512.hash(data: bytes))
        default: return nil
        }
    }
}
