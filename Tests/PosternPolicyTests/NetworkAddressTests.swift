import PosternJSON
import Testing

@testable import PosternPolicy

@Suite("Address policy")
struct NetworkAddressTests {
    @Test(
        "no address that is special is dialled",
        arguments: [
            "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254", "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16", "100.100.100.200", "192.0.0.192", "::", "::1", "::7f00:1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:db8::1",
            "2002:7f00:1::", "3fff::1",
            "5f00::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "4000::1", "1::1",
        ])
    func refused(text: String) throws {
        let address = try #require(IPAddress(text))
        let refusal = try #require(AddressPolicy().refusal(of: address))
        #expect(!refusal.remedy.isEmpty)
    }

    @Test(
        "public addresses are dialled",
        arguments: [
            "1.1.1.1", "8.8.8.8", "11.0.0.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.167.1.1", "223.255.255.255",
            "2606:4700::1111", "2a00:1450::1",
        ])
    func dialled(text: String) throws {
        #expect(AddressPolicy().refusal(of: try #require(IPAddress(text))) == nil)
    }

    @Test("a named block lifts its addresses, a metadata address only by its own name")
    func named() throws {
        let policy = AddressPolicy(
            allowed: try [AddressRange("10.1.0.0/16"), AddressRange("169.254.0.0/16"), AddressRange("0.0.0.0/0"), AddressRange("fd00::/8")])
        #expect(policy.refusal(of: .v4(0x0A01_0203)) == nil)
        #expect(policy.refusal(of: try #require(IPAddress("169.254.169.254"))) != nil)
        #expect(policy.refusal(of: try #require(IPAddress("168.63.129.16"))) != nil)
        #expect(policy.refusal(of: try #require(IPAddress("fd00:ec2::254"))) != nil)
        #expect(policy.refusal(of: try #require(IPAddress("64:ff9b::a9fe:a9fe"))) != nil)
        #expect(policy.refusal(of: try #require(IPAddress("2002:a9fe:a9fe::"))) != nil)
        #expect(AddressPolicy(allowed: [try AddressRange("169.254.169.254")]).refusal(of: try #require(IPAddress("169.254.169.254"))) == nil)
    }

    @Test(
        "a block of translated addresses lifts none of the IPv4 addresses behind it",
        arguments: [
            "64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::192.168.1.1", "64:ff9b::169.254.169.254", "64:ff9b::100.64.0.1", "2002:a00:1::1",
            "2002:7f00:1::", "2002:c0a8:101::5", "2001:0:1:2:3:4:f5ff:fffe", "2001:0:1:2:3:4:80ff:fffe", "::127.0.0.1", "::ffff:0:10.0.0.1",
            // A local prefix, with the address at each of its places.
            "64:ff9b:1::10.0.0.1", "64:ff9b:1:a00:0:100::", "64:ff9b:1:a:0:1::", "64:ff9b:1:0:a:0:100::", "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1::a9fe:a9fe",
        ])
    func translated(text: String) throws {
        let blocks = try ["64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0:0/96"].map { try AddressRange($0) }
        let address = try #require(IPAddress(text))
        let refusal = try #require(AddressPolicy(allowed: blocks).refusal(of: address))
        #expect(refusal.kind.contains(" for ") || refusal.kind.contains("metadata"), "\(refusal)")
        // The address itself, by name, is not enough either.
        #expect(AddressPolicy(allowed: blocks + [AddressRange(address)]).refusal(of: address) != nil || refusal.kind.hasPrefix("the metadata"))
    }

    @Test(
        "translated public addresses are dialled where their block is named, private ones where both are",
        arguments: [
            ("64:ff9b::8.8.8.8", true), ("64:ff9b:1::8.8.8.8", true), ("64:ff9b:1:808:8:800::", true), ("2002:808:808::1", true),
            ("64:ff9b::10.1.0.1", true), ("64:ff9b:1::10.1.0.1", true), ("64:ff9b::10.2.0.1", false),
        ])
    func translatedAndNamed(text: String, isDialled: Bool) throws {
        let allowed = try ["64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "10.1.0.0/16"].map { try AddressRange($0) }
        #expect((AddressPolicy(allowed: allowed).refusal(of: try #require(IPAddress(text))) == nil) == isDialled)
    }

    @Test("narrowing dials what both dial, over a grid of policies and addresses")
    func narrowing() throws {
        let ranges = try ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "169.254.0.0/16", "169.254.169.254", "127.0.0.0/8", "fd00::/8", "fd00:ec2::254"]
            .map { try AddressRange($0) }
        let addresses = ["10.1.2.3", "10.1.9.9", "10.9.9.9", "169.254.169.254", "169.254.1.1", "127.0.0.1", "fd00::1", "fd00:ec2::254", "8.8.8.8"]
            .compactMap { IPAddress($0) }
        for left in 0..<(1 << ranges.count) where left % 7 == 0 {
            for right in 0..<(1 << ranges.count) where right % 5 == 0 {
                let pick = { (bits: Int) in AddressPolicy(allowed: ranges.indices.filter { bits >> $0 & 1 == 1 }.map { ranges[$0] }) }
                let (one, other) = (pick(left), pick(right))
                let both = one.narrowed(by: other)
                for address in addresses {
                    let expected = one.refusal(of: address) == nil && other.refusal(of: address) == nil
                    #expect((both.refusal(of: address) == nil) == expected, "\(address) in \(one.json.text) and \(other.json.text)")
                }
            }
        }
    }

    @Test("blocks", arguments: ["10.1.2.3/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "x", "fd00::1/8", "10.0.0.0/08a", ""])
    func brokenRange(text: String) {
        #expect(throws: PolicyValueError.self) { try AddressRange(text) }
    }

    @Test(
        "the text of an address is read as the same address",
        arguments: ["0.0.0.0", "::", "1::", "::1:0:0:1", "1:0:0:2::", "2001:db8::1:0:0:1", "fe80::1"])
    func text(text: String) throws {
        #expect(try #require(IPAddress(text)).description == text)
        #expect(IPAddress(bytes: try #require(IPAddress(text)).bytes)?.description == text)
    }
}
