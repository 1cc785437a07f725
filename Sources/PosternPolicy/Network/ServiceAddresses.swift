/// Where a service may be that the operator has named by a URL: the control plane, the model service, Vault, or a proxy towards them. To
/// name it is to name its address, so that a service in a company's own network or on this machine is dialled as a public one is. What no
/// name may lead to stays refused: metadata services of clouds, link-local addresses and others at which no service is.
package struct ServiceAddresses: Sendable, Hashable {
    /// A name or an address, without brackets.
    private let host: String
    private let policy: AddressPolicy
    /// `localhost`: its traffic may be unencrypted because it stays on this machine, so it has to.
    private let isThisMachine: Bool

    package init(host: String) {
        self.host = host
        isThisMachine = host.lowercased() == "localhost"
        policy = AddressPolicy(allowed: IPAddress(host) == nil ? Self.networks : [])
    }

    /// Why `address` is no place for the service; `nil` where it may be there.
    package func refusal(of address: IPAddress) -> ServiceAddressRefusal? {
        if let named = IPAddress(host), named == address { return nil }
        let isLoopback = Self.loopback.contains { $0.contains(address) }
        if isThisMachine { return isLoopback ? nil : ServiceAddressRefusal(host: host, address: address, kind: "not this machine") }
        // Not by the policy: to it ::1 is an IPv4-compatible address too, and leads to 0.0.0.1.
        if isLoopback, IPAddress(host) == nil { return nil }
        return policy.refusal(of: address).map { ServiceAddressRefusal(host: host, address: address, kind: $0.kind) }
    }

    private static let loopback = ranges("127.0.0.0/8", "::1/128")

    /// Networks of companies and carriers, the benchmarking block, which some resolvers of tunnels answer with, and translators of a network
    /// without IPv4; what is behind a translator is looked at by itself.
    private static let networks = ranges(
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "fc00::/7", "64:ff9b::/96", "64:ff9b:1::/48")

    private static func ranges(_ texts: String...) -> [AddressRange] { texts.compactMap { try? AddressRange($0) } }
}

/// Why a service is not dialled.
package struct ServiceAddressRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var address: IPAddress
    /// What the address is: "a link-local address" …
    package var kind: String

    package var description: String {
        "\(host) leads to \(address), which is \(kind) and is not dialled for a service: correct what the name leads to, or name the address itself"
    }
}
