import ManagedAgentsClient
import PosternJSON
import PosternMCP
import Testing

@Suite struct NoticeStreamTests {
    private static let stream = HTTPExchange.Head(status: 200, contentType: "text/event-stream")
    private static let changed = JSONRPCMessage.notification(method: "notifications/tools/list_changed", params: nil)

    private func stream(hasSession: Bool = true) -> NoticeStream {
        NoticeStream(messageLimit: 1000, hasBatches: false, hasToken: true, hasSession: hasSession)
    }

    @Test func aBrokenStreamIsTakenUpAfterTheLastEvent() {
        var stream = stream()
        #expect(stream.receive(.head(Self.stream)).next == .read)
        let event = "retry: 5\nid: 9\ndata: \(Self.changed.json.text)\n\nid: 10\ndata: half"
        #expect(stream.receive(.bytes(Array(event.utf8))).messages == [Self.changed])
        #expect(stream.receive(.broken(.broken("x"))).next == .again(after: .milliseconds(50)))
        #expect(stream.lastEventID == "9")
        #expect(stream.receive(.head(Self.stream)).next == .read)
        // What was cut off is not put together with what comes now.
        #expect(stream.receive(.bytes(Array("\n\nid: 10\ndata: \(Self.changed.json.text)\n\n".utf8))).messages == [Self.changed])
    }

    @Test func whatTheServerDoesNotOfferIsNotAskedForAgain() {
        for (status, expected) in [(404, MCPError.sessionLost), (405, .notOffered("a stream of notices (HTTP 405)")), (400, .status(400, ""))] {
            var stream = stream()
            #expect(stream.receive(.head(.init(status: status, contentType: ""))).next == .fail(expected))
        }
        // Without a session none can be lost.
        var stateless = stream(hasSession: false)
        let missing = MCPError.notOffered("a stream of notices (HTTP 404)")
        #expect(stateless.receive(.head(.init(status: 404, contentType: ""))).next == .fail(missing))
    }

    @Test func itIsNotAskedForForEver() {
        var stream = stream()
        var asked = 0
        while case .again = stream.receive(.head(.init(status: 503, contentType: ""))).next { asked += 1 }
        #expect(asked == 5)
    }

    @Test func anEventIsBounded() {
        var stream = stream()
        _ = stream.receive(.head(Self.stream))
        #expect(stream.receive(.bytes(Array(repeating: 0x61, count: 1001))).next == .fail(.tooLarge("an event", limit: 1000)))
    }
}
