import PosternPolicy

/// A Vault server and how the worker proves itself to it: what sources that share a login have in common.
struct VaultAccount: Sendable, Hashable {
    var address: String
    var namespace: String?
    var login: VaultSource.Login
    var caFile: String?

    init(_ source: VaultSource) {
        address = source.address
        namespace = source.namespace
        login = source.login
        caFile = source.caFile
    }

    /// Scheme, host and port of the address. Plain HTTP is for loopback: a token would be readable on the way.
    func endpoint() throws(SecretSourceError) -> (authority: Authority, isTLS: Bool) {
        func refuse(_ reason: String) -> SecretSourceError {
            SecretSourceError("vault \(printable(address))", reason, remedy: "write its address as https://host:8200")
        }
        let isTLS = address.hasPrefix("https://")
        guard isTLS || address.hasPrefix("http://") else { throw refuse("the address is no http or https URL") }
        var rest = address.dropFirst(isTLS ? 8 : 7)
        if rest.last == "/" { rest.removeLast() }
        guard let authority = try? Authority(String(rest), defaultPort: 8_200) else { throw refuse("the address is no host and port") }
        guard isTLS || Self.isLoopback(authority.host) else { throw refuse("plain HTTP would show the token to the network") }
        return (authority, isTLS)
    }

    private static func isLoopback(_ host: CanonicalHost) -> Bool {
        switch host {
        case .name(let name): name == "localhost"
        case .address(.v4(let value)): value >> 24 == 127
        case .address(.v6(let high, let low)): high == 0 && low == 1
        }
    }
}
