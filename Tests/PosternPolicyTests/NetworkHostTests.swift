import Testing

@testable import PosternPolicy

@Suite("Canonical hosts")
struct NetworkHostTests {
    @Test(
        "one destination has one form",
        arguments: [
            ("example.com", "example.com"), ("EXAMPLE.Com", "example.com"), ("example.com.", "example.com"), ("a_b.example.com", "a_b.example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"), ("XN--BCHER-KVA.example", "xn--bcher-kva.example"), ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"), ("127.0.0.1.", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0x7f000001", "127.0.0.1"),
            ("0x7F.1", "127.0.0.1"), ("127.1", "127.0.0.1"), ("127.0.1", "127.0.0.1"), ("0177.0.0.1", "127.0.0.1"), ("017700000001", "127.0.0.1"),
            ("0", "0.0.0.0"), ("1.2.3.", "1.2.0.3"), ("16843009", "1.1.1.1"), ("1.1", "1.0.0.1"), ("0x01010101", "1.1.1.1"), ("[::1]", "::1"),
            ("::1", "::1"), ("[::ffff:127.0.0.1]", "127.0.0.1"), ("::ffff:7f00:1", "127.0.0.1"), ("[2001:DB8:0:0:1::]", "2001:db8:0:0:1::"),
            ("[0:0:0:0:0:0:0:1]", "::1"), ("64:ff9b::127.0.0.1", "64:ff9b::7f00:1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ])
    func canonical(text: String, form: String) throws {
        let host = try CanonicalHost(text)
        #expect(host.description == form)
        #expect(try CanonicalHost(host.authority) == host)
    }

    @Test(
        "what can be read in two ways is refused",
        arguments: [
            "", ".", "..", "a..b", ".example.com", "example.com..", " example.com", "example.com ", "exam ple.com", "example.com\0.evil.com",
            "example.com%00.evil.com", "example.com\u{7F}", "example.com\r\nHost: evil.com", "user@example.com", "user:pw@example.com",
            "example.com#@evil",
            "example.com/evil", "example.com?x", "example.com\\evil", "example。com", "ｅxample.com", "bücher.example", "-a.com", "a-.com",
            "*.example.com",
            "xn--.com", "xn--a.com", "xn--example-.com", "1.2.3.4.5", "256.1.1.1", "1.2.3.256", "0x", "4294967296",
            "0x100000000",
            "08.1.1.1", "1..2", "a.1", "example.0x7f", "[::1", "::1]", "[::1%25eth0]", "fe80::1%eth0", "[1.2.3.4]", "[]", "[::1]x", "1:2:3", ":::",
            "::1::",
            "12345::", "1:2:3:4:5:6:7:8:9", "::1.2.3", "::1.2.3.04", "1:", ":1", "a,b", "a;b", "a\"b", "a'b", "a(b", "a=b", "a+b", "a~b",
            String(repeating: "a", count: 64) + ".com", String(repeating: "a.", count: 127) + "aa",
        ])
    func refused(text: String) {
        #expect(throws: PolicyValueError.self) { try CanonicalHost(text) }
    }

    @Test("every byte is either part of a name or refused")
    func everyByte() {
        for byte in UInt8.min...UInt8.max {
            let host = try? CanonicalHost(bytes: [UInt8(ascii: "a"), byte, UInt8(ascii: "b"), UInt8(ascii: "."), UInt8(ascii: "c")])
            let allowed =
                (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z") || byte >= 0x30 && byte <= 0x39
                || [0x2D, 0x2E, 0x5F].contains(byte)
            #expect((host != nil) == allowed, "byte \(byte)")
        }
    }

    @Test("authorities", arguments: [("example.com:443", "example.com:443"), ("[::1]:80", "[::1]:80"), ("1.1:8080", "1.0.0.1:8080")])
    func authority(text: String, form: String) throws {
        #expect(try Authority(text).description == form)
    }

    @Test(
        "broken authorities",
        arguments: [
            "example.com", "example.com:", "example.com:0", "example.com:65536", "example.com:+80", "example.com:80:80", "::1:80", "[::1]80", ":80",
            "a:8 0",
        ])
    func brokenAuthority(text: String) {
        #expect(throws: PolicyValueError.self) { try Authority(text) }
    }

    @Test(
        "patterns cover what they say",
        arguments: [
            ("example.com", "example.com", true), ("example.com", "a.example.com", false), ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true), ("*.example.com", "example.com", false), ("*.example.com", "evilexample.com", false),
            ("*.example.com", "a.example.com.evil.org", false), ("EXAMPLE.com.", "example.com", true), ("1.1", "16777217", true),
            ("[::ffff:1.2.3.4]", "1.2.3.4", true),
        ])
    func patterns(pattern: String, host: String, covers: Bool) throws {
        #expect(try HostPattern(pattern).covers(try CanonicalHost(host)) == covers)
    }

    @Test(
        "patterns for nobody in particular are refused",
        arguments: [
            "*", "*:443", "*.com", "*.co.uk", "*.github.io", "a.*.com", "*a.com", "**.a.com", "*.1.2.3.4", "*.", "", "a b", "example.com:x",
            "https://a.com",
        ])
    func refusedPatterns(text: String) {
        #expect(throws: PolicyValueError.self) { try HostPattern(text) }
    }

    @Test("patterns with ports, written and read again", arguments: ["a.com", "*.a.com:8443", "[::1]:9", "1.2.3.4:5", "[fd00::1]"])
    func patternText(text: String) throws {
        #expect(try HostPattern(text).description == text)
    }

    @Test("an intersection covers what both cover")
    func intersections() throws {
        let patterns = try ["a.com", "*.a.com", "*.b.a.com", "b.a.com", "b.a.com:80", "*.a.com:80", "c.org", "*.a.com:81", "1.2.3.4"].map {
            try HostPattern($0)
        }
        let hosts = try ["a.com", "b.a.com", "x.b.a.com", "c.org", "1.2.3.4"].map { try CanonicalHost($0) }
        for left in patterns {
            for right in patterns {
                let both = left.intersection(right)
                for host in hosts {
                    for port: UInt16 in [80, 81, 443] {
                        let expected = left.covers(host, port: port, ports: []) && right.covers(host, port: port, ports: [])
                        #expect((both?.covers(host, port: port, ports: []) ?? false) == expected, "\(left) ∩ \(right) at \(host):\(port)")
                    }
                }
            }
        }
    }
}
