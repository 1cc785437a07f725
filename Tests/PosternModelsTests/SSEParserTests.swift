import PosternModels
import Testing

@Suite struct SSEParserTests {
    private static let stream =
        "\u{FEFF}: a comment\nevent: first\ndata: {\"a\":1}\n\nevent:second\r\ndata:one\r\ndata: two\r\ndata:\r\n\r\n"
        + "data: third\rid: 7\rretry: 10\runknown: x\rnocolon\r\r\n\nevent: nothing\n\n: ping\n\ndata:  ünï\u{2028}✓ \n\nevent: x\rdata\r\r\ndata: lost"

    private static let events: [SSEParser.Event] = [
        .init(name: "first", data: Array("{\"a\":1}".utf8)),
        .init(name: "second", data: Array("one\ntwo\n".utf8)),
        .init(name: nil, data: Array("third".utf8)),
        .init(name: nil, data: Array(" ünï\u{2028}✓ ".utf8)),
        .init(name: "x", data: []),
    ]

    @Test func whole() throws {
        var parser = SSEParser()
        #expect(try parser.parse(Self.stream.utf8) == Self.events)
    }

    @Test func everySplitInTwo() throws {
        let bytes = Array(Self.stream.utf8)
        for split in 0...bytes.count {
            var parser = SSEParser()
            let events = try parser.parse(bytes[..<split]) + parser.parse(bytes[split...])
            #expect(events == Self.events, "split at \(split)")
        }
    }

    @Test func everyPairOfSplits() throws {
        let bytes = Array(Self.stream.utf8)
        var wrong = 0
        for first in 0...bytes.count {
            for second in first...bytes.count {
                var parser = SSEParser()
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
            var parser = SSEParser()
            var events: [SSEParser.Event] = []
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
        let alphabet = Array("data: event:\r\n\n\r x\u{0}é".utf8)
        for seed in 0..<300 {
            var random = SeededGenerator(seed: UInt64(seed))
            let bytes = (0..<400).map { _ in alphabet[Int.random(in: alphabet.indices, using: &random)] }
            var whole = SSEParser()
            var single = SSEParser()
            let expected = try whole.parse(bytes)
            var events: [SSEParser.Event] = []
            for byte in bytes { events += try single.parse([byte]) }
            #expect(events == expected, "seed \(seed)")
        }
    }

    @Test func anEventIsBounded() throws {
        var oneLine = SSEParser(limit: 100)
        #expect(throws: SSEParser.EventTooLarge(limit: 100)) { try oneLine.parse(Array(repeating: UInt8(ascii: "x"), count: 101)) }
        var manyLines = SSEParser(limit: 100)
        #expect(throws: SSEParser.EventTooLarge(limit: 100)) {
            for _ in 0..<50 { _ = try manyLines.parse("data: 12345\n".utf8) }
        }
        // The bound is one event's, not the stream's.
        var stream = SSEParser(limit: 100)
        for _ in 0..<50 { #expect(try stream.parse("data: 12345\n\n".utf8).count == 1) }
    }
}
