import Crypto
import PosternCore

extension Secrets {
    /// With swift-crypto's SHA-256.
    package static let sha256 = Secrets { bytes in Array(SHA256.hash(data: bytes)) }
}
