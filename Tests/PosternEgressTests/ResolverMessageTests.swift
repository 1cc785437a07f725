import PosternPolicy
import Testing

@testable import PosternEgress

/// The synthetic resolver: what it answers, and what it makes of messages that lie.
@Suite struct ResolverMessageTests {
    /// A query as a stub resolver sends it.
    static func query(
        _ name: String, kind: UInt16 = 1, class recordClass: UInt16 = 1, id: UInt16 = 0x1234, flags: [UInt8] = [1, 0], edns: Bool = false
    ) -> [UInt8] {
        var message: [UInt8] = [UInt8(id >> 8), UInt8(truncatingIfNeeded: id)] + flags + [0, 1, 0, 0, 0, 0, 0, edns ? 1 : 0]
        for label in name.split(separator: ".") { message += [UInt8(label.utf8.count)] + Array(label.utf8) }
        message += [0, UInt8(kind >> 8), UInt8(truncatingIfNeeded: kind), UInt8(recordClass >> 8), UInt8(truncatingIfNeeded: recordClass)]
        if edns { message += [0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8] }
        return message
    }

    struct Answer: Equatable {
        var code: UInt8
        var address: [UInt8]?
    }

    static func read(_ message: [UInt8]?) -> Answer? {
        guard let message, message.count >= 12, message[2] & 0x80 != 0 else { return nil }
        guard message[7] == 1 else { return Answer(code: message[3] & 15, address: nil) }
        let end = message.count - (message[11] == 1 ? 11 : 0)
        return Answer(code: message[3] & 15, address: Array(message[end - 4..<end]))
    }

    @Test func everyNameGetsAnAddressOfItsOwn() throws {
        var resolver = SyntheticResolver()
        let first = try #require(Self.read(resolver.answer(Self.query("example.com"))))
        #expect(first.code == 0 && first.address?.prefix(2) == [127, 1])
        #expect(Self.read(resolver.answer(Self.query("EXAMPLE.com", edns: true))) == first)
        let second = try #require(Self.read(resolver.answer(Self.query("example.org"))))
        #expect(second.address != first.address)
        let number = try #require(first.address).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        #expect(resolver.name(of: number) == (try CanonicalHost("example.com")))
    }

    @Test func theAnswerRepeatsTheQuestion() throws {
        var resolver = SyntheticResolver()
        let query = Self.query("ExAmple.Com", id: 0xBEEF)
        let message = resolver.answer(query)
        let answer = try #require(message)
        #expect(Array(answer[0..<2]) == [0xBE, 0xEF] && answer[12..<query.count] == query[12...])
        // Authoritative, no recursion offered, though it was desired.
        #expect(answer[2] == 0x85 && answer[3] == 0)
    }

    @Test(arguments: [28, 64, 65] as [UInt16]) func otherAddressesAreEmpty(_ kind: UInt16) {
        var resolver = SyntheticResolver()
        #expect(Self.read(resolver.answer(Self.query("example.com", kind: kind))) == .init(code: 0, address: nil))
        #expect(resolver.names.count == 0)
    }

    @Test(arguments: [2, 5, 6, 12, 15, 16, 33, 41, 251, 252, 255, 0, 65_535] as [UInt16]) func nothingElseIsKnown(_ kind: UInt16) {
        var resolver = SyntheticResolver()
        #expect(Self.read(resolver.answer(Self.query("example.com", kind: kind)))?.code == 4)
        #expect(Self.read(resolver.answer(Self.query("version.bind", kind: 16, class: 3)))?.code == 4)
    }

    @Test func specialNamesGetNoAddressOfTheProxys() {
        var resolver = SyntheticResolver()
        #expect(Self.read(resolver.answer(Self.query("localhost"))) == .init(code: 0, address: [127, 0, 0, 1]))
        #expect(Self.read(resolver.answer(Self.query("x.localhost")))?.address == [127, 0, 0, 1])
        for name in ["printer.local", "x.onion", "4.3.2.1.in-addr.arpa", "a.invalid", "1.2.3.4", "0x7f.1", "-bad.com", "a b.com", "x.1"] {
            #expect(Self.read(resolver.answer(Self.query(name))) == .init(code: 3, address: nil), "\(name)")
        }
        #expect(resolver.names.count == 0)
        // A dot inside a label.
        var sly = Self.query("axb.com")
        sly[14] = UInt8(ascii: ".")
        #expect(Self.read(resolver.answer(sly))?.code == 3)
    }

    @Test func messagesThatLieGetAnErrorOrNothing() {
        var resolver = SyntheticResolver()
        let good = Self.query("example.com", edns: true)
        for count in 0..<good.count {
            let answer = resolver.answer(Array(good[..<count]))
            #expect(answer == nil ? count < 12 : Self.read(answer)?.code == 1, "cut at \(count)")
        }
        #expect(Self.read(resolver.answer(good + [0]))?.code == 1)
        // An answer, another opcode, truncated, two questions, an answer record, a pointer, a long label, a name beyond 255 bytes.
        #expect(resolver.answer(Self.query("example.com", flags: [0x81, 0])) == nil)
        #expect(Self.read(resolver.answer(Self.query("example.com", flags: [0x28, 0])))?.code == 4)
        #expect(Self.read(resolver.answer(Self.query("example.com", flags: [0x03, 0])))?.code == 1)
        for (at, value) in [(5, 2), (7, 1), (9, 1), (11, 9), (12, 0xC0), (12, 64)] as [(Int, UInt8)] {
            var bad = Self.query("example.com")
            bad[at] = value
            #expect(Self.read(resolver.answer(bad))?.code == 1, "byte \(at)")
        }
        #expect(Self.read(resolver.answer(Self.query(Array(repeating: "abcdefg", count: 40).joined(separator: "."))))?.code == 1)
        #expect(resolver.names.count == 0)
    }

    @Test func noBytesCrashIt() {
        var resolver = SyntheticResolver()
        var random = SystemRandomNumberGenerator()
        let good = Self.query("www.example.com", edns: true)
        for _ in 0..<20_000 {
            var message = good
            for _ in 0..<Int.random(in: 1...4, using: &random) { message[.random(in: 0..<message.count)] = .random(in: 0...255) }
            _ = resolver.answer(message)
            _ = resolver.answer((0..<Int.random(in: 0...60, using: &random)).map { _ in .random(in: 0...255) })
        }
    }

    @Test func thePoolIsBoundedAndForgetsTheOldest() throws {
        var names = SyntheticNames(capacity: 3)
        func host(_ number: Int) -> CanonicalHost { (try? CanonicalHost("h\(number).example")) ?? .name("") }
        let first = names.address(for: host(1))
        let second = names.address(for: host(2))
        _ = names.address(for: host(3))
        // Dialled: it stays.
        #expect(names.name(of: first) == host(1))
        _ = names.address(for: host(4))
        #expect(names.count == 3 && names.name(of: second) == nil && names.name(of: first) == host(1))
        // A freed address is not given away again before the whole block was.
        var seen: Set<UInt32> = []
        for number in 10..<40_000 { seen.insert(names.address(for: host(number))) }
        #expect(names.count == 3 && seen.count == 39_990)
        for number in 40_000..<110_000 { _ = names.address(for: host(number)) }
        #expect(names.count == 3)
        #expect(seen.allSatisfy { SyntheticNames.addresses.contains($0) })
    }

    @Test func streamsAreCutIntoMessages() throws {
        let (one, two) = (Self.query("a.example"), Self.query("b.example"))
        let bytes = DNSStream.framed(one) + DNSStream.framed(two)
        for cut in 0...bytes.count {
            var stream = DNSStream()
            var messages: [[UInt8]] = []
            for part in [bytes[..<cut], bytes[cut...]] {
                stream.append(part)
                while let message = try stream.next() { messages.append(message) }
            }
            #expect(messages == [one, two])
        }
        var long = DNSStream()
        long.append([0xFF, 0xFF])
        #expect(throws: DNSStreamError.self) { try long.next() }
    }
}
