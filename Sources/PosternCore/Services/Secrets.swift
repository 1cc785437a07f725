/// Makes credentials and their stored form. SHA-256 comes from outside, because this target links no crypto library.
package struct Secrets: Sendable {
    package enum Kind: String, Sendable {
        case apiKey = "sk-postern-api-", environmentKey = "sk-postern-env-", sessionsToken = "sk-postern-sess-"
    }

    private let sha256: @Sendable ([UInt8]) -> [UInt8]
    private static let alphabet = Array("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)
    /// 44 characters of 58 carry 257 bits.
    private static let length = 44

    package init(sha256: @escaping @Sendable ([UInt8]) -> [UInt8]) { self.sha256 = sha256 }

    /// A fresh secret from the system's generator.
    package func make(_ kind: Kind) -> String {
        var generator = SystemRandomNumberGenerator()
        let token = (0..<Self.length).map { _ in Self.alphabet[Int.random(in: 0..<Self.alphabet.count, using: &generator)] }
        return kind.rawValue + String(decoding: token, as: UTF8.self)
    }

    /// Whether a secret has the form of a sessions token.
    package static func isSessionsToken(_ secret: String) -> Bool { secret.hasPrefix(Kind.sessionsToken.rawValue) }

    /// What is stored of a secret.
    package func hash(_ secret: String) -> [UInt8] { sha256(Array(secret.utf8)) }

    /// A sessions token and its hash, for the work queue.
    package func mintSessionsToken() -> (token: String, hash: [UInt8]) {
        let token = make(.sessionsToken)
        return (token, hash(token))
    }

    /// The prefix and the first five characters: enough to tell keys apart.
    static func hint(_ secret: String) -> String {
        let known = [Kind.apiKey, .environmentKey].first { secret.hasPrefix($0.rawValue) }
        return String(secret.prefix((known?.rawValue.count ?? 0) + 5)) + "…"
    }
}
