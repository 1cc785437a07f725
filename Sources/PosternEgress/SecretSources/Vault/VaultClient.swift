import NIOCore
import NIOSSL
import PosternJSON
import PosternPolicy

/// Reads secrets from one Vault server over a login that is kept and renewed.
actor VaultClient {
    private let account: VaultAccount
    private let exchange: VaultExchange
    private let readFile: @Sendable (String) async throws(SecretSourceError) -> SecretValue
    private let now: @Sendable () -> Double
    private var token = VaultToken()

    /// - Parameters:
    ///   - authorities: PEM certificates that Vault's must chain to; `nil` for the system's roots.
    ///   - readFile: the first line of a file that only the worker may read.
    init(
        _ account: VaultAccount, authorities: [UInt8]?, group: any EventLoopGroup,
        readFile: @escaping @Sendable (String) async throws(SecretSourceError) -> SecretValue,
        now: @escaping @Sendable () -> Double = SecretSupply.monotonic
    ) throws(SecretSourceError) {
        self.account = account
        self.readFile = readFile
        self.now = now
        let (authority, isTLS) = try account.endpoint()
        exchange = try VaultExchange(authority, isTLS: isTLS, authorities: authorities, namespace: account.namespace, group: group)
    }

    /// The field of the secret at `path`, below `/v1/`.
    func read(path: String, field: String) async throws(SecretSourceError) -> SecretResolver.Found {
        let source = "vault \(account.address) \(printable(path))"
        guard let target = Self.target(path) else {
            throw SecretSourceError(source, "the path is not one of Vault's", remedy: "write mount and path without a leading '/', '..', '?' or '#'")
        }
        var isRepeated = false
        while true {
            let used = try await login(source)
            let (status, body) = try await exchange.send("GET", target, token: used, body: nil, source: source)
            switch status {
            case 200: return try VaultAnswer.field(field, in: try Self.json(body, source), source: source)
            case 403 where !isRepeated && token.denied(used): isRepeated = true
            default: throw VaultAnswer.failure(status, body, source: source)
            }
        }
    }

    /// A token that may be used now. Calls overlap: each looks at the state again after it waited.
    private func login(_ source: String) async throws(SecretSourceError) -> SecretValue {
        switch token.next(now: now()) {
        case .use(let value): return value
        case .renew(let value):
            let (status, body) = try await exchange.send("POST", "/v1/auth/token/renew-self", token: value, body: [:], source: source)
            if status == 200, let renewed = VaultAnswer.token(try Self.json(body, source)) {
                token.obtained(renewed, now: now())
                return renewed.value
            }
            token.renewalFailed()
            return try await obtain(source)
        case .obtain: return try await obtain(source)
        }
    }

    private func obtain(_ source: String) async throws(SecretSourceError) -> SecretValue {
        switch account.login {
        case .tokenFile(let path):
            let value = try await readFile(path)
            let (status, body) = try await exchange.send("GET", "/v1/auth/token/lookup-self", token: value, body: nil, source: source)
            // A policy may deny the look at itself; the token may be good nevertheless. It is read again each time then.
            if status == 200, let known = VaultAnswer.lookup(try Self.json(body, source), of: value) { token.obtained(known, now: now()) }
            return value
        case .appRole(let roleIDFile, let secretIDFile):
            let role = try await readFile(roleIDFile)
            let secret = try await readFile(secretIDFile)
            guard let roleText = role.text, let secretText = secret.text else {
                throw SecretSourceError(source, "role id or secret id is not text", remedy: "write them as Vault gave them")
            }
            let (status, body) = try await exchange.send(
                "POST", "/v1/auth/approle/login", token: nil, body: ["role_id": .string(roleText), "secret_id": .string(secretText)], source: source)
            guard status == 200, let known = VaultAnswer.token(try Self.json(body, source)) else {
                throw VaultAnswer.failure(status == 200 ? 502 : status, body, source: "\(source), AppRole login")
            }
            token.obtained(known, now: now())
            return known.value
        }
    }

    private static func json(_ body: [UInt8], _ source: String) throws(SecretSourceError) -> JSON {
        guard let json = try? JSON(parsing: body) else {
            throw SecretSourceError(source, "the answer is no JSON", remedy: "check that the address is Vault's")
        }
        return json
    }

    /// The request target of a path; `nil` when it would be another request than a read below `/v1/`.
    static func target(_ path: String) -> String? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard !parts.isEmpty, parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else { return nil }
        var target = "/v1/"
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                target.unicodeScalars.append(UnicodeScalar(byte))
            case _ where "/-._~".utf8.contains(byte): target.unicodeScalars.append(UnicodeScalar(byte))
            case UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "%"), 0..<0x20, 0x7F: return nil
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                target += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return target
    }
}
