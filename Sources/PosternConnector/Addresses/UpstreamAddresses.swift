import PosternPolicy

/// Which addresses a route's upstream may have: those of private networks, or those that the route names. What is named stands instead of the
/// private networks, and loopback and link-local addresses are dialled only where they are named.
package struct UpstreamAddresses: Hashable, Sendable {
    package var allowed: [AddressRange]
    /// Public ones as well.
    package var alsoPublic = false

    /// RFC 1918, and RFC 4193 for IPv6.
    package static let privateNetworks = ranges("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")

    package init(allowed: [AddressRange] = privateNetworks) { self.allowed = allowed }

    /// Of hosts that may be inside or outside, such as those of an issuer of tokens.
    package static var publicAndPrivate: UpstreamAddresses {
        var addresses = UpstreamAddresses()
        addresses.alsoPublic = true
        return addresses
    }

    /// Why `address` is not dialled; `nil` when it is.
    package func refusal(of address: IPAddress) -> UpstreamAddressRefusal? {
        let isNamed = allowed.contains { $0.contains(address) }
        guard isNamed || alsoPublic else {
            return UpstreamAddressRefusal(
                address: address, reason: "it is in none of the route's \"addresses\" (\(allowed.map(\.description).joined(separator: ", ")))")
        }
        // Named, and meant. The shared policy takes ::1 for an IPv4-compatible address too, which leads to 0.0.0.1.
        if isNamed, Self.loopback.contains(where: { $0.contains(address) }) { return nil }
        return AddressPolicy(allowed: allowed).refusal(of: address).map { UpstreamAddressRefusal(address: address, reason: "it is \($0.kind)") }
    }

    private static let loopback = ranges("127.0.0.0/8", "::1/128")

    private static func ranges(_ texts: String...) -> [AddressRange] { texts.compactMap { try? AddressRange($0) } }
}

/// Why an upstream is not dialled.
package struct UpstreamAddressRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    package var address: IPAddress
    package var reason: String

    package var description: String { "\(address) is not dialled: \(reason)" }
}

/// Turns a name into its addresses. A function, so that tests and the composition root give their own.
package typealias ConnectorResolver = @Sendable (String) async throws -> [IPAddress]
