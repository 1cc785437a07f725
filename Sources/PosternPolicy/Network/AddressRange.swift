/// A block of IP addresses in CIDR form (RFC 4632, RFC 4291 section 2.3).
package struct AddressRange: Sendable, Hashable, CustomStringConvertible {
    /// The first address; bits beyond the prefix are zero.
    package let base: IPAddress
    /// Bits that all addresses share: 0 to 32, or to 128.
    package let prefix: Int

    /// One address.
    package init(_ address: IPAddress) {
        self.init(base: address, prefix: address.isIPv6 ? 128 : 32)
    }

    /// `10.0.0.0/8`, `fd00::/8`, or one address without a prefix. Bits beyond the prefix must be zero.
    package init(_ text: String) throws(PolicyValueError) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else {
            throw PolicyValueError(
                value: text, rule: "must be an IP address or a block of them", remedy: "write it as 10.1.2.3, 10.0.0.0/8 or fd00::/8")
        }
        let most = address.isIPv6 ? 128 : 32
        guard parts.count == 2 else {
            self.init(address)
            return
        }
        let digits = parts[1]
        guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
            let prefix = Int(digits), prefix <= most
        else {
            throw PolicyValueError(value: text, rule: "the prefix length must be a number from 0 to \(most)")
        }
        let base = Self.cut(address, to: prefix)
        guard base == address else {
            throw PolicyValueError(value: text, rule: "has bits set beyond its prefix", remedy: "write \(base)/\(prefix)")
        }
        self.init(base: base, prefix: prefix)
    }

    private init(base: IPAddress, prefix: Int) {
        self.base = base
        self.prefix = prefix
    }

    package func contains(_ address: IPAddress) -> Bool {
        address.isIPv6 == base.isIPv6 && Self.cut(address, to: prefix) == base
    }

    package func isSubset(of other: AddressRange) -> Bool { prefix >= other.prefix && other.contains(base) }

    /// The addresses that both hold: one of the two, since blocks nest or are apart.
    package func intersection(_ other: AddressRange) -> AddressRange? {
        if isSubset(of: other) { return self }
        return other.isSubset(of: self) ? other : nil
    }

    package var description: String {
        prefix == (base.isIPv6 ? 128 : 32) ? "\(base)" : "\(base)/\(prefix)"
    }

    private static func cut(_ address: IPAddress, to prefix: Int) -> IPAddress {
        switch address {
        case .v4(let value): .v4(prefix == 0 ? 0 : value & (UInt32.max << UInt32(32 - prefix)))
        case .v6(let high, let low):
            prefix <= 64
                ? .v6(prefix == 0 ? 0 : high & (UInt64.max << UInt64(64 - prefix)), 0)
                : .v6(high, low & (UInt64.max << UInt64(128 - prefix)))
        }
    }
}
