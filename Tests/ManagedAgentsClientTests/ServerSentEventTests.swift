import ManagedAgentsClient
import Testing

@Suite struct ServerSentEventTests {
    private func parse(_ text: String, chunk: Int = .max, limit: Int = 1 << 20) throws -> [ServerSentEvent] {
        var parser = ServerSentEventParser(limit: limit)
        var events: [ServerSentEvent] = []
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            events += try parser.push(Array(bytes.prefix(chunk)))
            bytes = bytes.dropFirst(chunk)
        }
        return events
    }

    private static let stream =
        "\u{FEFF}: hello\r\nid: 7\r\nevent: agent.message\r\ndata: {\"a\":\r\ndata:1}\r\n\r\nevent: ping\rdata: {}\r\rdata\n\nid\ndata:  é\n\nevent: x\n\n"

    @Test(arguments: 1...12) func everyChunkingGivesTheSame(_ size: Int) throws {
        let events = try parse(Self.stream, chunk: size)
        #expect(
            events == [
                ServerSentEvent(name: "agent.message", data: Array("{\"a\":\n1}".utf8), lastEventID: "7"),
                ServerSentEvent(name: "ping", data: Array("{}".utf8), lastEventID: "7"),
                ServerSentEvent(name: nil, data: [], lastEventID: "7"),
                ServerSentEvent(name: nil, data: Array(" é".utf8), lastEventID: ""),
            ])
    }

    @Test func aFrameWithoutItsBlankLineIsNone() throws {
        #expect(try parse("event: a\ndata: 1\n").isEmpty)
    }

    @Test func framesAreBounded() throws {
        #expect(throws: ServerSentEventParser.FrameTooLarge.self) { try parse("data: " + String(repeating: "x", count: 200), chunk: 7, limit: 100) }
        #expect(throws: ServerSentEventParser.FrameTooLarge.self) {
            try parse(String(repeating: "data: xxxxxxxxxx\n", count: 20), chunk: 9, limit: 100)
        }
        #expect(try parse(String(repeating: "data: xxxxxxxxxx\n\n", count: 50), limit: 100).count == 50)
    }

    @Test func idsWithANulAreIgnored() throws {
        #expect(try parse("id: 1\ndata: a\n\nid: 2\u{0}\ndata: b\n\n").map(\.lastEventID) == ["1", "1"])
    }
}
