/// Addresses that are not on the public Internet, or stand for others (IANA special-purpose registries, RFC 6890).
enum SpecialAddresses {
    /// What `address` is, `nil` for an ordinary public one. IPv6 outside the global unicast block (2000::/3) is never public.
    static func kind(of address: IPAddress) -> String? {
        for (range, kind) in ranges where range.contains(address) { return kind }
        if case .v6(let high, _) = address, high >> 61 != 1 { return "outside the global unicast addresses" }
        return nil
    }

    /// What serves credentials at this address in some cloud; `nil` where none does. Forms that carry an IPv4 address count as it.
    static func metadataService(_ address: IPAddress) -> String? {
        if let service = metadata[address] { return service }
        for inner in embedded(in: address) {
            if let service = metadata[.v4(inner)] { return service }
        }
        return nil
    }

    /// The IPv4 addresses that an address stands for: inside NAT64, 6to4, IPv4-compatible, IPv4-translated and Teredo addresses. Several
    /// where the address does not say at which place: a local NAT64 prefix (RFC 8215) may have any length of RFC 6052 below /48. Places
    /// that hold nothing are left out there.
    static func embedded(in address: IPAddress) -> [UInt32] {
        guard case .v6(let high, let low) = address else { return [] }
        let last = UInt32(truncatingIfNeeded: low)
        if high == 0x0064_FF9B_0000_0000, low >> 32 == 0 { return [last] }
        if high >> 16 == 0x0064_FF9B_0001 {
            // RFC 6052, section 2.2: bits 64 to 71 are no part of it.
            let places = [
                UInt32(truncatingIfNeeded: (high & 0xFFFF) << 16 | low >> 40 & 0xFFFF),
                UInt32(truncatingIfNeeded: (high & 0xFF) << 24 | low >> 32 & 0xFF_FFFF),
                UInt32(truncatingIfNeeded: low >> 24), last,
            ]
            let filled = places.filter { $0 >> 24 != 0 }
            return filled.isEmpty ? [last] : filled
        }
        if high >> 48 == 0x2002 { return [UInt32(truncatingIfNeeded: high >> 16)] }
        if high == 0, low >> 32 == 0 || low >> 32 == 0xFFFF_0000 { return [last] }
        if high >> 32 == 0x2001_0000 { return [~last] }
        return []
    }

    private static let metadata: [IPAddress: String] = table([
        ("169.254.169.254", "the metadata service of a cloud (AWS, Azure, Google, OpenStack, Oracle, DigitalOcean, Hetzner)"),
        ("169.254.170.2", "the credentials service of AWS ECS"), ("169.254.170.23", "the credentials service of AWS EKS"),
        ("169.254.169.253", "the resolver of AWS"), ("169.254.169.123", "the time service of AWS"),
        ("168.63.129.16", "the wire server of Azure"), ("100.100.100.200", "the metadata service of Alibaba Cloud"),
        ("192.0.0.192", "the metadata service of Oracle Cloud"), ("169.254.0.23", "the metadata service of Tencent Cloud"),
        ("169.254.42.42", "the metadata service of Scaleway"),
        ("fd00:ec2::254", "the metadata service of AWS"), ("fd00:ec2::23", "the credentials service of AWS EKS"),
        ("fd00:ec2::253", "the resolver of AWS"), ("fd20:ce::254", "the metadata service of Google Cloud"),
        ("fd00:42::42", "the metadata service of Scaleway"), ("fd00:c1::a9fe:a9fe", "the metadata service of Oracle Cloud"),
    ])

    private static func table(_ rows: [(String, String)]) -> [IPAddress: String] {
        Dictionary(rows.compactMap { text, kind in IPAddress(text).map { ($0, kind) } }, uniquingKeysWith: { first, _ in first })
    }

    private static let ranges: [(AddressRange, String)] = [
        ("0.0.0.0/8", "an address of this host"), ("10.0.0.0/8", "a private address"), ("100.64.0.0/10", "a carrier's shared address"),
        ("127.0.0.0/8", "a loopback address"), ("169.254.0.0/16", "a link-local address"), ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a protocol assignment"), ("192.0.2.0/24", "a documentation address"), ("192.31.196.0/24", "an AS112 address"),
        ("192.52.193.0/24", "an AMT address"), ("192.88.99.0/24", "a 6to4 relay"), ("192.168.0.0/16", "a private address"),
        ("192.175.48.0/24", "an AS112 address"), ("198.18.0.0/15", "a benchmarking address"), ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"), ("224.0.0.0/4", "a multicast address"), ("240.0.0.0/4", "a reserved address"),
        ("::1/128", "the loopback address"), ("::/96", "an IPv4-compatible address"), ("::ffff:0:0:0/96", "an IPv4-translated address"),
        ("64:ff9b::/96", "a NAT64 address"), ("64:ff9b:1::/48", "a NAT64 address"), ("100::/64", "a discard address"),
        ("2001::/32", "a Teredo address"), ("2001::/23", "a protocol assignment"), ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "a 6to4 address"), ("3fff::/20", "a documentation address"), ("5f00::/16", "a segment routing address"),
        ("fc00::/7", "a private address"), ("fe80::/10", "a link-local address"), ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    ].compactMap { text, kind in (try? AddressRange(text)).map { ($0, kind) } }
}
