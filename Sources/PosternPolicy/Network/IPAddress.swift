/// An IP address as a number. IPv4-mapped IPv6 addresses (RFC 4291, section 2.5.5.2) become the IPv4 address that they stand for, so
/// that one destination has one value.
package enum IPAddress: Sendable, Hashable {
    case v4(UInt32)
    /// The upper and the lower half, in host order.
    case v6(UInt64, UInt64)

    /// From 4 or 16 bytes in network order; `nil` for another count.
    package init?(bytes: some Collection<UInt8>) {
        switch bytes.count {
        case 4: self = .v4(bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            let high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
            let low = bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
            self = Self.unmapped(high, low)
        default: return nil
        }
    }

    /// The strict text forms only: four decimal numbers, or RFC 4291 without zone. `CanonicalHost` knows the loose spellings.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        if bytes.contains(UInt8(ascii: ":")) {
            guard let (high, low) = IPv6Text.parse(bytes) else { return nil }
            self = Self.unmapped(high, low)
        } else {
            guard let value = IPv4Text.strict(bytes[...]) else { return nil }
            self = .v4(value)
        }
    }

    private static func unmapped(_ high: UInt64, _ low: UInt64) -> IPAddress {
        high == 0 && low >> 32 == 0xFFFF ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high, low)
    }

    /// The bytes in network order, 4 or 16.
    package var bytes: [UInt8] {
        switch self {
        case .v4(let value): (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
        case .v6(let high, let low):
            (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) } + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
        }
    }

    package var isIPv6: Bool {
        if case .v6 = self { true } else { false }
    }
}

/// The canonical text (RFC 5952 for IPv6), without brackets.
extension IPAddress: CustomStringConvertible {
    package var description: String {
        switch self {
        case .v4: bytes.map(String.init).joined(separator: ".")
        case .v6(let high, let low): IPv6Text.write(high, low)
        }
    }
}
