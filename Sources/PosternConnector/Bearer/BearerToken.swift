import FoundationEssentials
import PosternJSON
import PosternTunnelWire

/// A signed token (RFC 7519, as RFC 7515 writes it), taken apart; nothing of it counts before `check`. Prints nothing of itself.
struct BearerToken: Sendable, CustomStringConvertible, CustomReflectable {
    /// As it came.
    let text: String
    let algorithm: TokenAlgorithm
    let keyID: String
    private let message: [UInt8]
    private let signature: [UInt8]
    private let claims: JSON

    /// Bytes. Heads have at most a few of these.
    static let longest = 8192
    private static let longestKeyID = 255

    /// Throws for what is no token, and for what says of itself that it is none for here.
    init(_ text: String) throws(BearerRefusal) {
        guard text.utf8.count <= Self.longest else { throw .malformed("it has more than \(Self.longest) bytes") }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Base64URL.decode(parts[0]), let body = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2]), !signature.isEmpty
        else { throw .malformed("it is not three parts in base64url") }
        let options = JSON.ParseOptions(maximumDepth: 16, rejectsLoneSurrogates: true, maximumValues: 1024)
        guard let header = try? JSON(parsing: header, options: options), header.object != nil,
            let claims = try? JSON(parsing: body, options: options), claims.object != nil
        else { throw .malformed("header and claims are not one JSON object each") }
        // What has to be understood, and is not, is refused (RFC 7515, section 4.1.11); "b64" (RFC 7797) is among it.
        guard header["crit"] == nil, header["b64"] == nil else { throw .malformed("its header has \"crit\" or \"b64\"") }
        guard let algorithm = header["alg"]?.string.flatMap(TokenAlgorithm.init(rawValue:)) else { throw .algorithm }
        guard let keyID = header["kid"]?.string, (1...Self.longestKeyID).contains(keyID.utf8.count) else {
            throw .malformed("its header names no key (kid)")
        }
        if let type = header["typ"] {
            // Tokens for other ends are signed with the same keys: for logging out, for events, for proofs (RFC 8725, section 3.11).
            guard let type = type.string?.lowercased(), ["jwt", "at+jwt", "application/at+jwt"].contains(type) else {
                throw .malformed("its type (typ) is not an access token's")
            }
        }
        self.text = text
        self.algorithm = algorithm
        self.keyID = keyID
        self.signature = signature
        self.claims = claims
        message = Array(text.utf8.prefix(parts[0].count + 1 + parts[1].count))
    }

    /// What a token says once its signature and every claim hold.
    struct Caller: Sendable, Hashable {
        var issuer: String
        var subject: String
        var client: String?
        /// When it counts no more, the clocks' difference allowed for.
        var ends: Date

        func identity(_ tunnel: ConnectorConfiguration.Tunnel) -> RuntimeIdentity {
            var identity = RuntimeIdentity(tunnelID: tunnel.id, workspaceID: tunnel.workspaceID, person: subject, client: client)
            identity.issuer = issuer
            return identity
        }
    }

    /// The signature first: until that holds no claim is looked at.
    func check(_ key: TokenKey, _ settings: BearerSettings, now: Date) throws(BearerRefusal) -> Caller {
        guard settings.algorithms.contains(algorithm), key.fits(algorithm) else { throw .algorithm }
        guard key.verifies(signature, of: message, algorithm) else { throw .signature }
        guard claims["iss"]?.string == settings.issuer else { throw .claim("iss") }
        guard Self.texts(claims["aud"]).contains(where: settings.audiences.contains) else { throw .claim("aud") }
        // Bound to a key of its holder (RFC 7800), which nobody here has asked for: whoever shows it alone may have found it.
        guard claims["cnf"] == nil else { throw .claim("cnf") }
        let skew = Double(settings.clockSkew)
        let seconds = now.timeIntervalSince1970
        guard let expires = claims["exp"]?.double, (1...Self.latest).contains(expires) else { throw .claim("exp") }
        guard seconds < expires + skew else { throw .expired }
        for (name, claim) in [("nbf", claims["nbf"]), ("iat", claims["iat"])] {
            guard let claim else { continue }
            guard let from = claim.double, (0...Self.latest).contains(from), from <= seconds + skew else { throw .claim(name) }
        }
        guard let subject = claims["sub"]?.string, Self.isName(subject) else { throw .claim("sub") }
        // RFC 9068 calls it client_id, OpenID Connect azp.
        let client = claims["client_id"] ?? claims["azp"]
        if let client { guard let text = client.string, Self.isName(text) else { throw .claim("client_id") } }
        let scopes = Set(
            Self.texts(claims["scope"]).flatMap { $0.split(separator: " ") } + Self.texts(claims["scp"]).flatMap { $0.split(separator: " ") })
        guard settings.scopes.allSatisfy({ scopes.contains($0[...]) }) else { throw .scope }
        return Caller(
            issuer: settings.issuer, subject: subject, client: client?.string, ends: Date(timeIntervalSince1970: expires + skew))
    }

    /// The end of the year 9999, in seconds since 1970.
    private static let latest = 253_402_300_799.0

    private static func isName(_ text: String) -> Bool {
        (1...BearerSettings.longestText).contains(text.utf8.count) && text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
    }

    /// A claim that is one text or a list of them.
    private static func texts(_ claim: JSON?) -> [String] { claim?.string.map { [$0] } ?? claim?.array?.compactMap(\.string) ?? [] }

    var description: String { "BearerToken(\(algorithm.rawValue))" }
    var customMirror: Mirror { Mirror(self, children: ["algorithm": algorithm]) }
}

/// Why a request is not its bearer's. The log has it; the caller is told no more than RFC 6750, section 3.1 has words for.
package enum BearerRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// None came.
    case missing
    /// The request gives credentials that have more than one reading.
    case request(String)
    case malformed(String)
    case algorithm
    case unknownKey
    case signature
    /// A claim is missing, or says something else.
    case claim(String)
    case expired
    case scope
    /// The issuer's keys are not there: not the caller's fault.
    case noKeys(String)

    package var description: String {
        switch self {
        case .missing: "the request holds no bearer token"
        case .request(let reason): reason
        case .malformed(let reason): "the bearer token cannot be read: \(reason)"
        case .algorithm: "the bearer token is signed in a way that the route does not take, or that does not fit its key"
        case .unknownKey: "the bearer token names a key that the issuer's key set does not hold"
        case .signature: "the bearer token's signature does not hold"
        case .claim(let name): "the bearer token's claim \(name) is missing or not what the route asks for"
        case .expired: "the bearer token has expired"
        case .scope: "the bearer token lacks a scope that the route asks for"
        case .noKeys(let reason): "the issuer's keys are not there: \(reason)"
        }
    }

    var status: Int {
        switch self {
        case .request: 400
        case .scope: 403
        case .noKeys: 503
        default: 401
        }
    }

    /// For logs and answers.
    var code: String {
        switch self {
        case .missing: "no_token"
        case .request: "malformed_request"
        case .scope: "insufficient_scope"
        case .noKeys: "token_keys"
        default: "invalid_token"
        }
    }

    /// What the caller is told.
    var told: String {
        switch self {
        case .missing: "this route asks for a bearer token"
        case .request(let reason): reason
        case .scope: "the bearer token lacks a scope that this route asks for"
        case .noKeys: "the keys of the tokens' issuer are not there now; try again later"
        default: "the bearer token is expired, revoked, malformed, or invalid for other reasons"
        }
    }
}
