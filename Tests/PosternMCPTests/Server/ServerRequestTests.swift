import PosternMCP
import Testing

@Suite("Requests to a server of Streamable HTTP")
struct ServerRequestTests {
    private static let call = #"{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"é"}}"#
    private static let initialize = #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#
    private static let modern =
        #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"é","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#

    private static func request(_ body: String, _ change: (inout ServerRequest) -> Void = { _ in }) -> ServerRequest {
        var request = ServerRequest(method: "POST", body: Array(body.utf8))
        request.contentType = "application/json; charset=utf-8"
        request.accept = "text/event-stream, application/json;q=0.5"
        change(&request)
        return request
    }

    private static func refusal(_ body: String, _ change: (inout ServerRequest) -> Void = { _ in }) -> ServerRefusal? {
        do throws(ServerRefusal) {
            _ = try request(body, change).decide()
            return nil
        } catch {
            return error
        }
    }

    @Test("what is kept of the handshake is bounded")
    func longHandshake() throws {
        func message(_ start: String, _ count: Int) -> String {
            start + #","params":{"x":""# + String(repeating: "x", count: count - start.utf8.count - 19) + #""}}"#
        }
        for start in [#"{"jsonrpc":"2.0","id":1,"method":"initialize""#, #"{"jsonrpc":"2.0","method":"notifications/initialized""#] {
            let session = start.contains("id") && !start.contains("notifications") ? nil : "s"
            let longest = message(start, ServerHandshake.longestMessage)
            #expect(longest.utf8.count == ServerHandshake.longestMessage)
            _ = try Self.request(longest) { $0.session = session }.decide()
            #expect(Self.refusal(message(start, ServerHandshake.longestMessage + 1)) { $0.session = session }?.status == 413)
        }
        // Other messages may be longer.
        let call = message(#"{"jsonrpc":"2.0","id":1,"method":"tools/call""#, ServerHandshake.longestMessage + 1)
        #expect(Self.refusal(call) { $0.session = "s" } == nil)
    }

    @Test("open, send, listen and end a session")
    func handshake() throws {
        guard case .open(let message) = try Self.request(Self.initialize).decide() else { return #expect(Bool(false), "no opening") }
        #expect(message.id == .number(1))
        guard case .send("s", let messages, isBatch: false) = try Self.request(Self.call, { $0.session = "s" }).decide() else {
            return #expect(Bool(false), "no sending")
        }
        #expect(messages.map(\.method) == ["tools/call"])
        let batch = "[\(Self.call),\(Self.call)]"
        guard case .send(_, _, isBatch: true) = try Self.request(batch, { $0.session = "s" }).decide() else {
            return #expect(Bool(false), "no batch")
        }
        #expect(Self.refusal(batch) { ($0.session, $0.revision) = ("s", "2025-06-18") }?.status == 400)
        guard case .listen("s") = try Self.request("", { ($0.method, $0.session) = ("GET", "s") }).decide() else {
            return #expect(Bool(false), "no GET")
        }
        guard case .end("s") = try Self.request("", { ($0.method, $0.session) = ("DELETE", "s") }).decide() else {
            return #expect(Bool(false), "no end")
        }
    }

    @Test("what is missing or does not fit has its status")
    func refusals() {
        #expect(Self.refusal(Self.call)?.status == 400)
        #expect(Self.refusal("") { $0.method = "GET" }?.status == 400)
        #expect(Self.refusal(Self.initialize) { $0.session = "s" }?.status == 400)
        #expect(Self.refusal("[\(Self.initialize)]") { $0.session = "s" }?.status == 400)
        #expect(Self.refusal("x") { $0.session = "s" }?.status == 400)
        #expect(Self.refusal(Self.call) { $0.contentType = "text/plain" }?.status == 415)
        #expect(Self.refusal(Self.call) { $0.contentType = nil }?.status == 415)
        #expect(Self.refusal(Self.call) { $0.accept = "application/json" }?.status == 406)
        #expect(Self.refusal(Self.call) { $0.accept = "application/json, text/event-stream;q=0" }?.status == 406)
        #expect(Self.refusal("") { ($0.method, $0.session, $0.accept) = ("GET", "s", "application/json") }?.status == 406)
        let put = Self.refusal(Self.call) { $0.method = "PUT" }
        #expect(put?.status == 405 && put?.allow == "GET, POST, DELETE")
        let unknown = Self.refusal(Self.call) { ($0.session, $0.revision) = ("s", "2024-11-05") }
        #expect(unknown?.status == 400 && unknown?.error.code == RPCError.unsupportedRevision && unknown?.error.supportedRevisions?.count == 4)
        #expect(unknown.map { String(decoding: $0.body, as: UTF8.self).contains(#""id":"c""#) } == true)
        #expect(Self.refusal(Self.call) { ($0.session, $0.accept) = ("s", nil) } == nil)
        #expect(Self.refusal(Self.call) { ($0.session, $0.accept) = ("s", "*/*") } == nil)
    }

    @Test("of 2026-07-28 stand for themselves, and header and body say the same")
    func alone() throws {
        func good(_ request: inout ServerRequest) {
            (request.revision, request.methodHeader, request.nameHeader) = ("2026-07-28", "tools/call", "=?base64?w6k=?=")
        }
        guard case .alone = try Self.request(Self.modern, good).decide() else { return #expect(Bool(false), "not alone") }
        func mismatch(_ body: String = Self.modern, _ change: (inout ServerRequest) -> Void) -> Int? {
            Self.refusal(body) {
                good(&$0); change(&$0)
            }?.error.code
        }
        #expect(mismatch { $0.methodHeader = "tools/list" } == RPCError.headerMismatch)
        #expect(mismatch { $0.methodHeader = nil } == RPCError.headerMismatch)
        #expect(mismatch { $0.nameHeader = "e" } == RPCError.headerMismatch)
        #expect(mismatch { $0.nameHeader = "=?base64?w6!=?=" } == RPCError.headerMismatch)
        #expect(mismatch { $0.nameHeader = nil } == RPCError.headerMismatch)
        #expect(mismatch(Self.call) { _ in } == RPCError.headerMismatch)
        // A body of that time without the header would be read in two ways.
        #expect(mismatch { $0.revision = nil } == RPCError.headerMismatch)
        #expect(Self.refusal(#"{"jsonrpc":"2.0","id":1,"result":{}}"#, good)?.status == 400)
        guard case .passedOver = try Self.request(#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#, good).decide() else {
            return #expect(Bool(false), "a notification counts")
        }
        for method in ["GET", "DELETE"] {
            let refusal = Self.refusal("") { ($0.method, $0.revision, $0.session) = (method, "2026-07-28", "s") }
            #expect(refusal?.status == 405 && refusal?.allow == "POST")
        }
    }

    @Test("errors of a server have the status that clients go by")
    func statuses() {
        #expect([nil, -32602, -32601, -32020, -32021, -32022, 502].map(ServerRefusal.status(ofError:)) == [200, 200, 404, 400, 400, 400, 200])
    }

    @Test("a message on a stream ends no event but its own")
    func events() {
        let event = ServerEvent.message(Array("{\"a\":\r\n\"b\\n\"}".utf8))
        #expect(String(decoding: event, as: UTF8.self) == "event: message\ndata: {\"a\":  \"b\\n\"}\n\n")
    }
}

@Suite("Sessions of a server")
struct ServerSessionsTests {
    private static func sessions() -> ServerSessions<String> { ServerSessions(most: 3, mostOfOwner: 2, idleTime: 100) }

    @Test("are their owner's alone")
    func owners() throws {
        var sessions = Self.sessions()
        #expect(try sessions.open("1", of: "a", at: 0) == nil)
        #expect(sessions.has("1", of: "a") && !sessions.has("1", of: "b") && !sessions.has("2", of: "a"))
        #expect(sessions.enter("1", of: "a", at: 0) && !sessions.enter("1", of: "b", at: 0))
        sessions.end("1")
        #expect(sessions.enter("1", of: "a", at: 0) == false)
    }

    @Test("are bounded: a caller gives up its own, the longest unused, and never another's")
    func bounds() throws {
        var sessions = Self.sessions()
        _ = try sessions.open("1", of: "a", at: 0)
        _ = try sessions.open("2", of: "a", at: 1)
        #expect(try sessions.open("3", of: "a", at: 2) == "1")
        #expect(sessions.enter("2", of: "a", at: 3) && sessions.enter("3", of: "a", at: 3))
        #expect(throws: ServerSessions<String>.Refusal.tooManyOfCaller) { try sessions.open("4", of: "a", at: 4) }
        _ = try sessions.open("5", of: "b", at: 4)
        #expect(throws: ServerSessions<String>.Refusal.tooMany) { try sessions.open("6", of: "c", at: 5) }
        #expect(sessions.count == 3 && sessions.has("5", of: "b"))
    }

    @Test("end when they are unused, and not while something runs")
    func idle() throws {
        var sessions = Self.sessions()
        _ = try sessions.open("1", of: "a", at: 0)
        _ = try sessions.open("2", of: "b", at: 0)
        #expect(sessions.enter("1", of: "a", at: 10) == true)
        #expect(sessions.takeIdle(at: 99).isEmpty && sessions.takeIdle(at: 100) == ["2"] && sessions.takeIdle(at: 500).isEmpty)
        sessions.leave("1", at: 500)
        #expect(sessions.takeIdle(at: 599).isEmpty && sessions.takeIdle(at: 600) == ["1"] && sessions.count == 0)
    }
}
