import FoundationEssentials
import PosternHTTP
import PosternTunnelWire

/// Decides on the bearer tokens of one route.
struct BearerVerifier: Sendable {
    enum Keys: Sendable {
        case fixed(KeySet)
        case source(KeySetSource)
    }
    let settings: BearerSettings
    let keys: Keys

    /// Whose token it is. May wait for the issuer's keys.
    func check(_ token: BearerToken, now: @Sendable () -> Date) async throws(BearerRefusal) -> BearerToken.Caller {
        // Before anybody is asked for a key.
        guard settings.algorithms.contains(token.algorithm) else { throw .algorithm }
        let key: TokenKey
        switch keys {
        case .fixed(let set):
            guard set.knows(token.keyID) else { throw .unknownKey }
            guard let fitting = set.key(token.keyID, token.algorithm) else { throw .algorithm }
            key = fitting
        case .source(let source): key = try await source.key(token.keyID, token.algorithm)
        }
        return try token.check(key, settings, now: now())
    }

    /// Whether the key of a token that was checked before is still one of the issuer's, without asking anybody. Keys from a file change with the document.
    func holds(_ token: BearerToken) -> Bool {
        switch keys {
        case .fixed: true
        case .source(let source): source.held(token.keyID, token.algorithm) != nil
        }
    }

    /// Whose token it is by what is known now; `nil` where it does not count.
    func recheck(_ token: BearerToken, now: Date) -> BearerToken.Caller? {
        let key: TokenKey? =
            switch keys {
            case .fixed(let set): set.key(token.keyID, token.algorithm)
            case .source(let source): source.held(token.keyID, token.algorithm)
            }
        guard let key else { return nil }
        return try? token.check(key, settings, now: now)
    }

    /// The token of a request (RFC 6750, section 2.1: in the header alone, and once). Throws where there is none or more than one.
    static func token(in head: RequestHead) throws(BearerRefusal) -> String {
        let fields = head.fields.all.filter { $0.spelling == "authorization" }
        guard let field = fields.first else { throw .missing }
        guard fields.count == 1 else { throw .request("the header Authorization stands twice") }
        let parts = field.text.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { throw .missing }
        let token = parts[1].drop { $0 == " " }
        guard !token.isEmpty, token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .request("the header Authorization does not hold one bearer token")
        }
        return String(token)
    }
}
