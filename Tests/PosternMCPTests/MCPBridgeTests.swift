import PosternJSON
import Synchronization
import Testing

@testable import PosternMCP

@Suite("The bridge between two revisions", .timeLimit(.minutes(1)))
struct MCPBridgeTests {
    private static func call(_ method: String, _ params: JSONObject = [:], _ revision: Revision = .november2025) -> ServerCall {
        ServerCall(number: 1, kind: .request, method: method, params: params, revision: revision)
    }

    private static func code(_ work: () async throws(RPCError) -> JSONObject) async -> Int? {
        do throws(RPCError) {
            _ = try await work()
            return nil
        } catch {
            return error.code
        }
    }

    private static let rich: JSONObject = [
        "tools": ["listChanged": true], "resources": ["subscribe": true, "listChanged": true], "logging": [:], "tasks": [:],
        "experimental": ["x": [:]],
    ]

    private static func server(_ revision: Revision) -> ServerDescription { ServerDescription(revision: revision, capabilities: rich) }

    @Test("capabilities are the server's without what cannot be carried")
    func capabilities() {
        let told: JSONObject = ["tools": ["listChanged": true], "resources": ["listChanged": true], "logging": [:]]
        #expect(BridgedMethods.capabilities(of: Self.server(.june2025), for: .november2025) == told)
        // A log is asked for in another way in the other era.
        var without = told
        without["logging"] = nil
        #expect(BridgedMethods.capabilities(of: Self.server(.july2026), for: .november2025) == without)
        #expect(BridgedMethods.capabilities(of: ServerDescription(revision: .july2026), for: .july2026) == [:])
    }

    @Test("only methods of a capability that the server has reach it")
    func methods() async {
        let link = FakeLink { request, _ throws(MCPError) in
            switch request.method {
            case "server/discover": throw Hello.unknown(request.method)
            case "initialize": return Hello.handshake()
            default: return LinkAnswer(result: ["method": .string(request.method)])
            }
        }
        let bridge = MCPBridge(to: MCPClient(link, options: .test), name: "docs")
        for method in [
            "prompts/list", "resources/read", "resources/subscribe", "tasks/get", "logging/setLevel", "sampling/createMessage", "tools/x", "",
        ] {
            #expect(await Self.code { () throws(RPCError) in try await bridge.answer(Self.call(method)) { _, _ in } } == RPCError.methodNotFound)
        }
        #expect(await Self.code { () throws(RPCError) in try await bridge.answer(Self.call("tools/list")) { _, _ in } } == nil)
        #expect(link.asked.filter { $0.hasPrefix("tools") || $0.hasPrefix("prompts") || $0.hasPrefix("resources") } == ["tools/list"])
    }

    @Test("an older server's results get what 2026-07-28 demands, and others stay as they are")
    func results() {
        let page: JSONObject = ["tools": [], "nextCursor": "c"]
        let stamped: JSONObject = ["tools": [], "nextCursor": "c", "resultType": "complete", "ttlMs": 0, "cacheScope": "private"]
        #expect(BridgedMethods.result(page, of: "tools/list", from: .handshake, for: .july2026) == stamped)
        #expect(BridgedMethods.result([:], of: "tools/call", from: .handshake, for: .july2026) == ["resultType": "complete"])
        // A word that its revision does not know, and which would ask the caller for what is not carried.
        let asking: JSONObject = ["content": [], "resultType": "input_required", "inputRequests": [:]]
        #expect(BridgedMethods.result(asking, of: "tools/call", from: .handshake, for: .july2026)["resultType"] == "complete")
        #expect(BridgedMethods.result(page, of: "tools/list", from: .handshake, for: .june2025) == page)
        #expect(BridgedMethods.result(page, of: "tools/list", from: .modern, for: .june2025) == page)
    }

    @Test("parameters pass with the caller's _meta, and each side has its own token and identity")
    func parameters() async throws {
        let seen = Mutex<JSONObject>([:])
        let link = FakeLink { request, hear throws(MCPError) in
            if request.method == "server/discover" { return Hello.modern }
            seen.withLock { $0 = request.params ?? [:] }
            await hear(.notification(method: "notifications/progress", params: ["progressToken": request.id.json, "progress": 1]))
            await hear(.notification(method: "notifications/progress", params: ["progressToken": "another's", "progress": 9]))
            await hear(.notification(method: "notifications/message", params: ["level": "info"]))
            return LinkAnswer(result: ["content": [], "isError": true, "resultType": "complete", "own": 1])
        }
        let bridge = MCPBridge(to: MCPClient(link, options: .test), name: "docs")
        let told = Mutex<[String]>([])
        let result = try await bridge.answer(
            Self.call("tools/call", ["name": "t", "arguments": ["a": 1], "more": 2, "_meta": ["trace": "x"]])
        ) { name, params in told.withLock { $0.append("\(name) \(params["progress"]?.int ?? 0)") } }
        #expect(result == ["content": [], "isError": true, "resultType": "complete", "own": 1])
        #expect(told.withLock { $0 } == ["notifications/progress 1", "notifications/message 0"])
        let params = seen.withLock { $0 }
        #expect(params["name"] == "t" && params["more"] == 2 && params["_meta"]?["trace"] == "x")
        #expect(params["_meta"]?["io.modelcontextprotocol/clientInfo"]?["name"] == "test")
    }

    @Test("the server's errors pass; those of the way there say what failed, and none is the other leg's")
    func errors() async {
        let cases: [(MCPError, Int, String)] = [
            (.server(RPCError(code: -32602, message: "no such tool")), -32602, "no such tool"),
            (.server(RPCError(code: RPCError.headerMismatch, message: "m")), RPCError.internalError, "docs: the server refused the request"),
            (.unreachable("refused"), RPCError.internalError, "docs: no connection: refused"),
            (.outcomeUnknown("it broke"), RPCError.internalError, "docs: it is not known"),
            (.connector(reason: "caller_not_allowed", "no"), RPCError.internalError, "caller_not_allowed"),
            (.inputRequired(["who?"]), RPCError.internalError, "asks for more"),
            (.server(RPCError(code: -32042, message: "open it", data: ["elicitations": []])), RPCError.internalError, "cannot give: open it"),
        ]
        for (failure, code, text) in cases {
            let link = FakeLink { request, _ throws(MCPError) in
                switch request.method {
                case "server/discover": return Hello.modern
                case "tools/list": return LinkAnswer(result: ["tools": [["name": "t", "inputSchema": [:]]], "resultType": "complete"])
                default: throw failure
                }
            }
            let bridge = MCPBridge(to: MCPClient(link, options: .test), name: "docs")
            do throws(RPCError) {
                _ = try await bridge.answer(Self.call("tools/call", ["name": "t"])) { _, _ in }
                Issue.record("\(failure) was no error")
            } catch {
                #expect(error.code == code && error.message.contains(text), "\(error)")
            }
            // Sent again only where the server has refused it unread, for missing fields.
            let isRefusedUnread = text.hasPrefix("docs: the server refused")
            #expect(link.asked.filter { $0 == "tools/call" }.count == (isRefusedUnread ? 2 : 1))
        }
    }

    @Test("a server that says 404 whenever it is asked for its notices makes no changes, and one more session at most")
    func noStream() async {
        let link = FakeLink { request, _ async throws(MCPError) in
            guard request.method == "initialize" else { throw Hello.unknown(request.method) }
            return Hello.handshake(session: "s")
        } listen: { _, _ async throws(MCPError) in
            throw .sessionLost
        }
        let bridge = MCPBridge(to: MCPClient(link, options: .test), name: "docs", pause: .zero)
        let told = Mutex<[String]>([])
        await #expect(throws: RPCError.self) {
            try await bridge.listen(to: [.tools], begun: { _ in told.withLock { $0.append("begun") } }) { name, _ in told.withLock { $0.append(name) }
            }
        }
        #expect(told.withLock { $0 } == [])
        #expect(link.asked.count { $0 == "initialize" } == 2)
    }

    @Test("whatever is asked first fails as the opening does, and who waits no longer is no failure of the server")
    func firstFailure() async {
        let link = FakeLink { _, _ async throws(MCPError) in throw .unreachable("away") }
        let bridge = MCPBridge(to: MCPClient(link, options: .test), name: "docs")
        let list = Self.call("tools/list", [:], .july2026)
        #expect(await Self.code { () throws(RPCError) in try await bridge.answer(list) { _, _ in } } == RPCError.internalError)
        #expect(bridge.failure == .unreachable("away"))
        let started = Pending<Void>()
        let silent = FakeLink { _, _ async throws(MCPError) in
            started.resolve(())
            await Pending<Void>().value(onCancel: ())
            throw .cancelled
        }
        let other = MCPBridge(to: MCPClient(silent, options: .test), name: "docs")
        let opening = Task { await Self.code { () throws(RPCError) in try await other.describe(for: .november2025).capabilities } }
        await started.value(onCancel: ())
        opening.cancel()
        #expect(await opening.value == RPCError.internalError)
        #expect(other.failure == nil)
    }

    @Test("a server that cannot be opened says why, and the failure is kept until it can")
    func opening() async throws {
        let isAway = Mutex(true)
        let link = FakeLink { request, _ throws(MCPError) in
            if isAway.withLock({ $0 }) { throw .unreachable("away") }
            return Hello.modern
        }
        let bridge = MCPBridge(to: MCPClient(link, options: .test), name: "docs")
        #expect(await Self.code { () throws(RPCError) in try await bridge.describe(for: .november2025).capabilities } == RPCError.internalError)
        #expect(bridge.failure == .unreachable("away"))
        isAway.withLock { $0 = false }
        let profile = try await bridge.describe(for: .november2025)
        #expect(profile.server["name"] == "docs" && profile.capabilities == ["tools": ["listChanged": true]] && bridge.failure == nil)
    }
}
