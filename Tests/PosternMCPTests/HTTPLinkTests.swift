import ManagedAgentsClient
import PosternJSON
import PosternMCP
import Synchronization
import Testing

@Suite("The link over Streamable HTTP", .timeLimit(.minutes(1)))
struct HTTPLinkTests {
    private static func link(_ transport: FakeTransport, _ settings: HTTPLink.Settings = HTTPLink.Settings()) throws -> HTTPLink {
        HTTPLink(transport, endpoint: try MCPEndpoint("https://mcp.test/mcp"), settings: settings)
    }

    @Test("notices begin when their stream stands, once, also where it is taken up again")
    func beginning() async throws {
        let event = "retry: 1\nid: 7\ndata: \(JSONRPCMessage.notification(method: "n", params: nil).json.text)\n\n"
        let count = Mutex(0)
        let transport = FakeTransport { _ throws(TransportError) in
            let number = count.withLock { count in
                count += 1
                return count
            }
            return number < 3 ? ClientResponse(200, event, ["Content-Type": "text/event-stream"]) : ClientResponse(404)
        }
        let link = try Self.link(transport)
        let told = Mutex<[String]>([])
        await #expect(throws: MCPError.sessionLost) {
            try await link.listen(WireContext(revision: .november2025, sessionID: "s"), begun: { told.withLock { $0.append("begun") } }) { _ in
                told.withLock { $0.append("notice") }
            }
        }
        #expect(told.withLock { $0 } == ["begun", "notice", "notice"])
        #expect(transport.asked.map { $0.headers["Last-Event-ID"] } == [nil, "7", "7"])
    }

    @Test("a server without a stream of notices never begins", arguments: [404, 405, 400])
    func noStream(status: Int) async throws {
        let transport = FakeTransport { _ throws(TransportError) in ClientResponse(status) }
        let link = try Self.link(transport)
        let ending = status == 400 ? MCPError.status(400, "") : .notOffered("a stream of notices (HTTP \(status))")
        await #expect(throws: ending) {
            try await link.listen(WireContext(revision: .november2025), begun: { Issue.record("nothing has begun") }) { _ in }
        }
        #expect(transport.asked.count == 1)
    }

    @Test("an error that repeats secrets is without them, in its data too")
    func masking() async throws {
        let said: JSON = [
            "message": "not the-token",
            "data": ["sent": ["Bearer the-token", ["x-key": "the-field", "kept": 1]], "the-field": true, "the-token": "x", "a the-token": "y"],
            "code": -32000,
        ]
        let answer = JSON.object(["jsonrpc": "2.0", "id": 1, "error": said]).text
        let transport = FakeTransport { _ throws(TransportError) in ClientResponse(200, answer, ["Content-Type": "application/json"]) }
        var settings = HTTPLink.Settings()
        settings.bearer = Secret("the-token")
        settings.fields = [(name: "X-Key", value: Secret("the-field"))]
        let link = try Self.link(transport, settings)
        // Of members whose names are one now the first is left.
        let masked: JSON = ["sent": ["Bearer <redacted>", ["x-key": "<redacted>", "kept": 1]], "<redacted>": true, "a <redacted>": "y"]
        await #expect(throws: MCPError.server(RPCError(code: -32000, message: "not <redacted>", data: masked))) {
            let context = WireContext(revision: .july2026)
            return try await link.exchange(LinkRequest(id: .number(1), method: "m", params: nil, context: context)) { _ in }
        }
    }
}
