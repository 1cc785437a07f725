import PosternPolicy
import Testing

/// Where a service may be that is named by a URL.
@Suite struct ServiceAddressesTests {
    private func refusal(_ host: String, _ address: String) throws -> ServiceAddressRefusal? {
        ServiceAddresses(host: host).refusal(of: try #require(IPAddress(address)))
    }

    @Test(arguments: [
        "93.184.216.34", "2606:2800:220:1::1", "10.1.2.3", "172.16.0.9", "192.168.1.1", "100.64.0.7", "127.0.0.1", "::1", "fd12::1", "198.18.0.5",
        "::ffff:10.0.0.1", "64:ff9b::5db8:d822", "64:ff9b::a01:203",
    ]) func aNameMayLeadTo(address: String) throws {
        #expect(try refusal("postern.example", address) == nil)
    }

    @Test(arguments: [
        "169.254.169.254", "169.254.170.2", "169.254.1.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
        "fe80::1", "0.0.0.0", "::", "224.0.0.1", "240.0.0.1", "255.255.255.255", "ff02::1", "192.0.2.1", "2001:db8::1",
        // The same in other clothes: mapped, NAT64, 6to4, Teredo, IPv4-compatible and -translated.
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "2002:a00:1::1", "2001:0:1:2:3:4:5601:5601",
        "::a9fe:a9fe", "::ffff:0:a9fe:a9fe",
    ]) func noNameLeadsTo(address: String) throws {
        let refused = try #require(try refusal("postern.example", address))
        #expect(refused.description.hasPrefix("postern.example leads to ") && refused.description.contains("name the address itself"))
    }

    /// Unencrypted traffic to `localhost` is allowed since it stays here.
    @Test func localhostIsThisMachine() throws {
        for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] { #expect(try refusal("LocalHost", address) == nil, "\(address)") }
        for address in ["10.0.0.1", "93.184.216.34", "169.254.169.254", "fd12::1", "0.0.0.0"] {
            #expect(try refusal("localhost", address) != nil, "\(address)")
        }
    }

    /// Whoever writes an address means it, and means no other.
    @Test func anAddressNamesItself() throws {
        for address in ["169.254.169.254", "fe80::1", "192.0.2.9", "10.0.0.1", "127.0.0.1", "::1"] {
            #expect(try refusal(address, address) == nil, "\(address)")
        }
        #expect(try refusal("169.254.169.254", "169.254.170.2") != nil && refusal("10.0.0.1", "10.0.0.2") != nil)
        // A spelling that only a resolver reads is a name.
        #expect(try refusal("0xa9fea9fe", "169.254.169.254") != nil && refusal("127.1", "127.0.0.1") == nil)
    }
}
