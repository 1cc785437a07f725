import ManagedAgentsAPI
import Testing

@Suite struct LoopbackTests {
    @Test(arguments: [
        "localhost", "LOCALHOST", "LocalHost", "127.0.0.1", "127.0.0.0", "127.1.2.3", "127.255.255.255", "::1", "[::1]",
        "0:0:0:0:0:0:0:1", "[0:0:0:0:0:0:0:1]", "0000:0000:0000:0000:0000:0000:0000:0001", "::0001", "0::1", "0:0::0:1", "::0:0:0:0:0:0:1",
        "0:0:0:0:0:0::1",
    ])
    func thisMachine(host: String) { #expect(Loopback.includes(host)) }

    @Test(arguments: [
        // Names that only begin or end like it, and names that a resolver may send away.
        "", "127.0.0.1.example.com", "localhost.example.com", "example.localhost", "localhost.", "127.0.0.1.", ".127.0.0.1", "localhosts",
        "xlocalhost",
        "127.example.org", "1.127.0.0.1", "127.0.0.1localhost",
        // Every interface, and neighbours.
        "0.0.0.0", "::", "[::]", "0", "126.0.0.1", "128.0.0.1", "10.0.0.1", "192.0.2.1", "169.254.169.254", "::2", "::11", "1::1", "::1:1", "1::",
        "::10",
        // Other spellings of IPv4, which parsers read differently.
        "127.1", "127.0.1", "127", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "127.00.0.1", "127.0.0.010", "0127.0.0.1",
        "127.0.0.256", "127.0.0.1000", "127.0.0.-1", "127.0.0.+1", "127.+0.0.1", "127..0.1", "127.0.0.", "127.0.0", "127.0.0.0.1", "127,0,0,1",
        "127.0.0.1 ", " 127.0.0.1", "127.0.0.1\n", "127.0.0.1/8", "127.0.0.1:80", "127.0.0.1%2e", "127.0.0.1\\", "127.0.0.1@example.com",
        "127.0.0.1#", "127.0.0.1\u{0}.example.com", "localhost\u{0}.example.com", "localhost:80",
        // IPv4 inside IPv6, zones, and what is no address.
        "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::7f00:1", "::1%lo", "[::1%25lo]", "::1%", ":1", ":::1", "::0::1", "1:", ":",
        "0:0:0:0:0:0:1", "0:0:0:0:0:0:0:0:1", "0:0:0:0:0:0:0::1", "::0:0:0:0:0:0:0:1", "::00001", "::0.0.0.1", "::1::", "::x1", "::-1", "::+1",
        "0:0:0:0:0:0:0:1:", "::1\u{0}",
        // Brackets.
        "[", "]", "[]", "[[::1]]", "[::1", "::1]", "[::1]x", "[::1]:80", "[127.0.0.1]", "[localhost]", "[ ::1]",
        // Unicode that looks alike, folds alike or joins its neighbour.
        "１２７.0.0.1", "١٢٧.0.0.1", "127。0。0。1", "127.0.0.１", "ⓛocalhost", "lоcalhost", "localhoſt", "localhos\u{301}t", "[\u{301}::1]",
        "127.\u{301}0.0.1",
        "::\u{301}1", "\u{200B}localhost", "\u{FEFF}::1",
    ])
    func anythingElse(host: String) { #expect(!Loopback.includes(host)) }
}
