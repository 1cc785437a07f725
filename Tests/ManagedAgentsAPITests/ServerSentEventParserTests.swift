import ManagedAgentsAPI
import SeededRandom
import Testing

@Suite struct ServerSentEventParserTests {
    private static let limit = 1 << 20

    private static let stream =
        "\u{FEFF}: a comment\nevent: first\ndata: {\"a\":1}\n\nevent:second\r\ndata:one\r\ndata: two\r\ndata:\r\n\r\n"
        + "data: third\rid: 7\rretry: 10\runknown: x\rnocolon\r\r\n\nevent: nothing\n\n: ping\n\ndata:  ünï\u{2028}✓ \n\nevent: x\rdata\r\r\ndata: lost"

    private static let events: [ServerSentEvent] = [
        .init(name: "first", data: Array("{\"a\":1}".utf8)),
        .init(name: "second", data: Array("one\ntwo\n".utf8)),
        .init(name: nil, data: Array("third".utf8), lastEventID: "7"),
        .init(name: nil, data: Array(" ünï\u{2028}✓ ".utf8), lastEventID: "7"),
        .init(name: "x", data: [], lastEventID: "7"),
    ]

    private func parse(_ text: String, chunk: Int = .max, limit: Int = limit) throws -> [ServerSentEvent] {
        var parser = ServerSentEventParser(limit: limit)
        var events: [ServerSentEvent] = []
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            events += try parser.parse(bytes.prefix(chunk))
            bytes = bytes.dropFirst(chunk)
        }
        return events
    }

    @Test func whole() throws {
        var parser = ServerSentEventParser(limit: Self.limit)
        #expect(try parser.parse(Self.stream.utf8) == Self.events)
        #expect(parser.lastEventID == "7" && parser.retryMilliseconds == 10)
    }

    @Test func bytesNeedNoContiguousStorage() throws {
        var parser = ServerSentEventParser(limit: Self.limit)
        #expect(try parser.parse(Self.stream.utf8.lazy.map { $0 }) == Self.events)
    }

    @Test func everySplitInTwo() throws {
        let bytes = Array(Self.stream.utf8)
        for split in 0...bytes.count {
            var parser = ServerSentEventParser(limit: Self.limit)
            let events = try parser.parse(bytes[..<split]) + parser.parse(bytes[split...])
            #expect(events == Self.events, "split at \(split)")
        }
    }

    @Test func everyPairOfSplits() throws {
        let bytes = Array(Self.stream.utf8)
        var wrong = 0
        for first in 0...bytes.count {
            for second in first...bytes.count {
                var parser = ServerSentEventParser(limit: Self.limit)
                let events = try parser.parse(bytes[..<first]) + parser.parse(bytes[first..<second]) + parser.parse(bytes[second...])
                if events != Self.events { wrong += 1 }
            }
        }
        #expect(wrong == 0)
    }

    @Test func randomSplits() throws {
        let bytes = Array(Self.stream.utf8)
        for seed in 0..<300 {
            var random = SeededGenerator(seed: UInt64(seed))
            var parser = ServerSentEventParser(limit: Self.limit)
            var events: [ServerSentEvent] = []
            var position = 0
            while position < bytes.count {
                let end = min(bytes.count, position + Int.random(in: 0...7, using: &random))
                events += try parser.parse(bytes[position..<end])
                position = end
            }
            #expect(events == Self.events, "seed \(seed)")
        }
    }

    @Test func randomBytesNeverTrap() throws {
        let alphabet = Array("data: event:id:retry:\r\n\n\r x9\u{0}é".utf8)
        for seed in 0..<300 {
            var random = SeededGenerator(seed: UInt64(seed))
            let bytes = (0..<400).map { _ in alphabet[Int.random(in: alphabet.indices, using: &random)] }
            var whole = ServerSentEventParser(limit: Self.limit)
            var single = ServerSentEventParser(limit: Self.limit)
            let expected = try whole.parse(bytes)
            var events: [ServerSentEvent] = []
            for byte in bytes { events += try single.parse([byte]) }
            #expect(events == expected && single.lastEventID == whole.lastEventID, "seed \(seed)")
        }
    }

    private static let mixed =
        "\u{FEFF}: hello\r\nid: 7\r\nevent: agent.message\r\ndata: {\"a\":\r\ndata:1}\r\n\r\nevent: ping\rdata: {}\r\rdata\n\nid\ndata:  é\n\nevent: x\n\n"

    @Test(arguments: 1...12) func everyChunkingGivesTheSame(_ size: Int) throws {
        let events = try parse(Self.mixed, chunk: size)
        #expect(
            events == [
                ServerSentEvent(name: "agent.message", data: Array("{\"a\":\n1}".utf8), lastEventID: "7"),
                ServerSentEvent(name: "ping", data: Array("{}".utf8), lastEventID: "7"),
                ServerSentEvent(name: nil, data: [], lastEventID: "7"),
                ServerSentEvent(name: nil, data: Array(" é".utf8), lastEventID: ""),
            ])
    }

    @Test func anEventWithoutItsBlankLineIsNone() throws {
        #expect(try parse("event: a\ndata: 1\n").isEmpty)
    }

    @Test func anEmptyNameIsNone() throws {
        #expect(try parse("event: a\nevent:\ndata: 1\n\n").map(\.name) == [nil])
    }

    @Test func idsWithANulAreIgnored() throws {
        #expect(try parse("id: 1\ndata: a\n\nid: 2\u{0}\ndata: b\n\n").map(\.lastEventID) == ["1", "1"])
    }

    @Test(arguments: ["-5", "+5", "5 ", " 5", "5s", "", "99999999999999999999", "٣"])
    func aRetryThatIsNotDigitsIsIgnored(value: String) throws {
        var parser = ServerSentEventParser(limit: Self.limit)
        _ = try parser.parse("retry: 40\nretry: \(value)\n\n".utf8)
        #expect(parser.retryMilliseconds == 40)
    }

    @Test func anEventIsBounded() throws {
        var oneLine = ServerSentEventParser(limit: 100)
        #expect(throws: ServerSentEventParser.EventTooLarge(limit: 100)) { try oneLine.parse(Array(repeating: UInt8(ascii: "x"), count: 101)) }
        var manyLines = ServerSentEventParser(limit: 100)
        #expect(throws: ServerSentEventParser.EventTooLarge(limit: 100)) {
            for _ in 0..<50 { _ = try manyLines.parse("data: 12345\n".utf8) }
        }
        // The bound is one event's, not the stream's.
        var stream = ServerSentEventParser(limit: 100)
        for _ in 0..<50 { #expect(try stream.parse("data: 12345\n\n".utf8).count == 1) }
    }

    @Test func eventsAreBoundedWhateverTheChunks() throws {
        #expect(throws: ServerSentEventParser.EventTooLarge.self) { try parse("data: " + String(repeating: "x", count: 200), chunk: 7, limit: 100) }
        #expect(throws: ServerSentEventParser.EventTooLarge.self) {
            try parse(String(repeating: "data: xxxxxxxxxx\n", count: 20), chunk: 9, limit: 100)
        }
        // A whole line that is too long is refused as well when it comes in one piece with its end.
        #expect(throws: ServerSentEventParser.EventTooLarge.self) { try parse("data: " + String(repeating: "x", count: 200) + "\n\n", limit: 100) }
        #expect(try parse(String(repeating: "data: xxxxxxxxxx\n\n", count: 50), limit: 100).count == 50)
    }
}
