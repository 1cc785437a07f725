import PosternJSON
import PosternMCP
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct MCPClientTests {
    private static let ok = LinkAnswer(result: ["content": [["type": "text", "text": "ok"]]])

    /// A server of the handshake era whose sessions are 1, 2, …; `dead` are those that it has ended.
    private final class Sessions: Sendable {
        let state = Mutex<(last: Int, dead: Set<String>)>((0, []))

        func link(_ call: @escaping @Sendable (LinkRequest) async throws(MCPError) -> LinkAnswer = { _ in MCPClientTests.ok }) -> FakeLink {
            FakeLink { request, _ async throws(MCPError) in
                switch request.method {
                case "initialize":
                    let id = self.state.withLock { state in
                        state.last += 1
                        return state.last
                    }
                    return Hello.handshake(session: "\(id)")
                case "server/discover": throw .status(400, "")
                default:
                    guard let id = request.context.sessionID, !self.state.withLock({ $0.dead.contains(id) }) else { throw .sessionLost }
                    return try await call(request)
                }
            }
        }

        func kill(_ id: String) { state.withLock { _ = $0.dead.insert(id) } }
    }

    @Test func aSessionThatIsGoneIsBegunAgainAndTheCallSentOnce() async throws {
        let server = Sessions()
        let link = server.link()
        let client = MCPClient(link, options: .test)
        _ = try await client.call(tool: "t", arguments: [:])
        server.kill("1")
        _ = try await client.call(tool: "t", arguments: [:])
        await client.close()
        #expect(
            link.asked == [
                "server/discover", "initialize", "notifications/initialized", "tools/call", "tools/call", "initialize",
                "notifications/initialized", "tools/call", "end 2",
            ])
    }

    @Test func aSessionThatIsAlwaysGoneIsGivenUp() async {
        let link = FakeLink { request, _ async throws(MCPError) in
            if request.method == "initialize" { return Hello.handshake("2025-06-18", session: "x") }
            throw .sessionLost
        }
        var options = MCPClient.Options.test
        options.revision = .june2025
        let client = MCPClient(link, options: options)
        await #expect(throws: MCPError.sessionLost) { try await client.call(tool: "t", arguments: [:]) }
        #expect(link.asked.count { $0 == "tools/call" } == 2)
    }

    @Test func manyThatLearnOfItAtOnceBeginOneSession() async throws {
        let server = Sessions()
        let link = server.link()
        let client = MCPClient(link, options: .test)
        _ = try await client.open()
        server.kill("1")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 { group.addTask { _ = try await client.call(tool: "t", arguments: [:]) } }
            try await group.waitForAll()
        }
        #expect(link.asked.count { $0 == "initialize" } == 2)
    }

    @Test func aKnownEraSavesTheFirstRequest() async throws {
        let eras = EraMemory()
        var options = MCPClient.Options.test
        options.eras = eras
        let link = Sessions().link()
        _ = try await MCPClient(link, options: options).open()
        #expect(eras[link.origin] == .handshake)
        _ = try await MCPClient(link, options: options).open()
        #expect(link.asked.count { $0 == "server/discover" } == 1)
    }

    @Test func aModernRequestCarriesWhatEachMust() async throws {
        let seen = Mutex<LinkRequest?>(nil)
        let link = FakeLink { request, _ in
            if request.method == "server/discover" { return Hello.modern }
            seen.withLock { $0 = request }
            return Self.ok
        }
        _ = try await MCPClient(link, options: .test).call(tool: "täglich", arguments: ["a": 1])
        let request = try #require(seen.withLock { $0 })
        let meta = try #require(request.params?["_meta"]?.object)
        #expect(meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28" && meta["io.modelcontextprotocol/clientCapabilities"] == [:])
        #expect(meta["io.modelcontextprotocol/clientInfo"]?["name"] == "test" && meta["progressToken"] == request.id.json)
        #expect(request.fields.map(\.name) == ["Mcp-Name"] && request.fields.map(\.value) == ["=?base64?dMOkZ2xpY2g=?="])
        #expect(request.context == WireContext(revision: .july2026))
    }

    /// Which arguments stand in the head only the schema says: it is asked for when the server wants them, and the call was not made before.
    @Test func fieldsOfArgumentsAreLearntWhenTheServerWantsThem() async throws {
        let tool: JSON = ["name": "t", "inputSchema": ["properties": ["region": ["type": "string", "x-mcp-header": "Region"]]]]
        let link = FakeLink { request, _ async throws(MCPError) in
            switch request.method {
            case "server/discover": return Hello.modern
            case "tools/list": return LinkAnswer(result: ["tools": [tool]])
            default:
                guard request.fields.contains(where: { $0.name == "Mcp-Param-Region" && $0.value == "eu" }) else {
                    throw .server(RPCError(code: RPCError.headerMismatch, message: "m"))
                }
                return Self.ok
            }
        }
        let client = MCPClient(link, options: .test)
        _ = try await client.call(tool: "t", arguments: ["region": "eu"])
        _ = try await client.call(tool: "t", arguments: ["region": "eu"])
        #expect(link.asked == ["server/discover", "tools/call", "tools/list", "tools/call", "tools/call"])
    }

    /// What a call of the tool `t` asks the server, and the kind of its failure where it fails.
    private func asked(_ client: MCPClient, _ link: FakeLink) async -> [String] {
        let before = link.asked.count
        var failure: String?
        do throws(MCPError) { _ = try await client.call(tool: "t", arguments: ["region": "eu"]) } catch { failure = error.kind }
        return Array(link.asked.dropFirst(before)) + (failure.map { [$0] } ?? [])
    }

    /// A schema may be another one while the client lives. The call is sent again only where its fields are others than those that were refused.
    @Test func fieldsAreLearntAnewWhereTheServerRefusesThem() async {
        let mark = Mutex<JSON>("Region")
        let wanted = Mutex("Region")
        let link = FakeLink { request, _ async throws(MCPError) in
            switch request.method {
            case "server/discover": return Hello.modern
            case "tools/list":
                let region: JSON = ["type": "string", "x-mcp-header": mark.withLock { $0 }]
                return LinkAnswer(result: ["tools": [["name": "t", "inputSchema": ["properties": ["region": region]]]]])
            default:
                let name = "Mcp-Param-\(wanted.withLock { $0 })"
                guard request.fields.contains(where: { $0.name == name }) else {
                    throw .server(RPCError(code: RPCError.headerMismatch, message: "m"))
                }
                return Self.ok
            }
        }
        let client = MCPClient(link, options: .test)
        #expect(await asked(client, link) == ["server/discover", "tools/call", "tools/list", "tools/call"])
        wanted.withLock { $0 = "Zone" }
        #expect(await asked(client, link) == ["tools/call", "tools/list", "server_error"])
        mark.withLock { $0 = "Zone" }
        #expect(await asked(client, link) == ["tools/call", "tools/list", "tools/call"])
        #expect(await asked(client, link) == ["tools/call"])
        // A mark that is none, until it is mended.
        mark.withLock { $0 = 7 }
        wanted.withLock { $0 = "Place" }
        #expect(await asked(client, link) == ["tools/call", "tools/list", "refused"])
        #expect(await asked(client, link) == ["tools/list", "refused"])
        mark.withLock { $0 = "Place" }
        #expect(await asked(client, link) == ["tools/list", "tools/call"])
    }

    @Test func aChangeOfTheToolsTakesBackWhatWasLearntOfThem() async throws {
        let fields = Mutex<[[String]]>([])
        let link = FakeLink { request, hear async throws(MCPError) in
            switch request.method {
            case "server/discover": return Hello.modern
            case "tools/list":
                let region: JSON = ["type": "string", "x-mcp-header": "Region"]
                return LinkAnswer(result: ["tools": [["name": "t", "inputSchema": ["properties": ["region": region]]]]])
            case "subscriptions/listen":
                let agreed: JSONObject = ["notifications": ["toolsListChanged": true]]
                await hear(.notification(method: "notifications/subscriptions/acknowledged", params: agreed))
                await hear(.notification(method: "notifications/tools/list_changed", params: nil))
                return LinkAnswer(result: ["resultType": "complete"])
            default:
                fields.withLock { $0.append(request.fields.map(\.name)) }
                return Self.ok
            }
        }
        let client = MCPClient(link, options: .test)
        _ = try await client.tools()
        _ = try await client.call(tool: "t", arguments: ["region": "eu"])
        await #expect(throws: MCPError.self) { try await client.toolChanges {} }
        _ = try await client.call(tool: "t", arguments: ["region": "eu"])
        #expect(fields.withLock { $0 } == [["Mcp-Name", "Mcp-Param-Region"], ["Mcp-Name"]])
    }

    // MARK: - Lists

    private func lister(_ pages: @escaping @Sendable (String?) -> JSONObject) -> MCPClient {
        MCPClient(
            FakeLink { request, _ in
                request.method == "server/discover" ? Hello.modern : LinkAnswer(result: pages(request.params?["cursor"]?.string))
            }, options: .test)
    }

    private static func tool(_ name: String) -> JSON { ["name": .string(name), "inputSchema": ["type": "object"]] }

    @Test func everyPageIsRead() async throws {
        let client = lister { cursor in
            let page = cursor.flatMap(Int.init) ?? 0
            var result: JSONObject = ["tools": .array((0..<3).map { Self.tool("t\(page * 3 + $0)") })]
            if page < 4 { result["nextCursor"] = .string("\(page + 1)") }
            return result
        }
        #expect(try await client.tools().map(\.name) == (0..<15).map { "t\($0)" })
    }

    @Test func aListWithoutAnEndIsStopped() async {
        let circle = lister { cursor in ["tools": [], "nextCursor": cursor == "a" ? "b" : "a"] }
        await #expect(throws: MCPError.malformed("tools/list gives the same cursor twice")) { try await circle.tools() }
        let count = Mutex(0)
        let endless = lister { _ in
            let page = count.withLock { count in
                count += 1
                return count
            }
            return ["tools": [], "nextCursor": .string("\(page)")]
        }
        await #expect(throws: MCPError.malformed("tools/list has more than 1000 pages")) { try await endless.tools() }
        let huge = lister { _ in ["tools": .array((0...10_000).map { Self.tool("t\($0)") })] }
        await #expect(throws: MCPError.malformed("tools/list names more than 10000 tools")) { try await huge.tools() }
        let long = String(repeating: "x", count: 33 << 20)
        let heavy = lister { cursor in
            ["tools": [["name": "t", "description": .string(long), "inputSchema": [:]]], "nextCursor": .string("\(cursor ?? "")x")]
        }
        await #expect(throws: MCPError.tooLarge("the list of tools", limit: 64 << 20)) { try await heavy.tools() }
    }

    @Test(arguments: [["tools": [["name": "t"]]], ["tools": [1]], ["tools": [["name": "", "inputSchema": [:]]]], [:]] as [JSONObject])
    func aListThatIsNoneIsRefused(result: JSONObject) async {
        let client = lister { _ in result }
        await #expect(throws: MCPError.self) { try await client.tools() }
    }

    // MARK: - Outcomes

    @Test func aResultThatAsksForMoreIsNoResult() async {
        let client = MCPClient(
            FakeLink { request, _ in
                request.method == "server/discover"
                    ? Hello.modern
                    : LinkAnswer(result: [
                        "resultType": "input_required", "inputRequests": ["a": ["method": "elicitation/create", "params": ["message": "Sure?"]]],
                    ])
            }, options: .test)
        await #expect(throws: MCPError.inputRequired(["Sure?"])) { try await client.call(tool: "t", arguments: [:]) }
    }

    /// What merely asks has no outcome to worry about; a call has.
    @Test func onlyACallsOutcomeIsUnknown() async {
        let link = FakeLink { request, _ async throws(MCPError) in
            if request.method == "server/discover" { return Hello.modern }
            throw .outcomeUnknown("cut")
        }
        let client = MCPClient(link, options: .test)
        await #expect(throws: MCPError.unreachable("cut")) { try await client.tools() }
        await #expect(throws: MCPError.outcomeUnknown("cut")) { try await client.call(tool: "t", arguments: [:]) }
        #expect(link.asked == ["server/discover", "tools/list", "tools/call"])
        let deaf = MCPClient(FakeLink { _, _ async throws(MCPError) in throw .outcomeUnknown("cut") }, options: .test)
        await #expect(throws: MCPError.unreachable("cut")) { try await deaf.open() }
    }

    @Test func progressKeepsARequestAliveAndSilenceEndsIt() async throws {
        let link = FakeLink { request, hear async throws(MCPError) in
            if request.method == "server/discover" { return Hello.modern }
            let steps = request.params?["arguments"]?["steps"]?.int ?? 0
            for step in 0..<steps {
                do { try await Task.sleep(for: .milliseconds(200)) } catch { throw MCPError.cancelled }
                await hear(.notification(method: "notifications/progress", params: ["progressToken": request.id.json, "progress": JSON(step)]))
            }
            // Progress of somebody else's request is none of this one.
            await hear(.notification(method: "notifications/progress", params: ["progressToken": 99999, "progress": 1]))
            if steps > 0 { return Self.ok }
            do { try await Task.sleep(for: .seconds(30)) } catch { throw MCPError.cancelled }
            return Self.ok
        }
        var options = MCPClient.Options.test
        // Far longer than a step, also where the machine has other things to do; all steps together take longer.
        options.silence = .seconds(2)
        let client = MCPClient(link, options: options)
        let count = Mutex(0)
        _ = try await client.call(tool: "t", arguments: ["steps": 11]) { _ in count.withLock { $0 += 1 } }
        #expect(count.withLock { $0 } == 11)
        await #expect(throws: MCPError.timedOut(method: "tools/call", seconds: 2, hasProgress: false)) {
            try await client.call(tool: "t", arguments: [:])
        }
    }

    @Test func aCancelledCallEndsAndTheClientLives() async throws {
        let (started, feed) = AsyncStream.makeStream(of: Void.self)
        let link = FakeLink { request, _ async throws(MCPError) in
            if request.method == "server/discover" { return Hello.modern }
            guard request.params?["name"] == "slow" else { return Self.ok }
            feed.yield()
            do { try await Task.sleep(for: .seconds(60)) } catch { throw MCPError.cancelled }
            return Self.ok
        }
        let client = MCPClient(link, options: .test)
        let call = Task { try await client.call(tool: "slow", arguments: [:]) }
        for await _ in started { break }
        call.cancel()
        await #expect(throws: MCPError.cancelled) { try await call.value }
        _ = try await client.call(tool: "quick", arguments: [:])
    }

    /// One that no longer waits does not take the connection from those that still do.
    @Test func openingIsCancelledOnlyWhenNobodyWaits() async throws {
        let (started, feed) = AsyncStream.makeStream(of: Void.self)
        let (release, releaser) = AsyncStream.makeStream(of: Void.self)
        let link = FakeLink { request, _ async throws(MCPError) in
            feed.yield()
            for await _ in release { break }
            if Task.isCancelled { throw .cancelled }
            return request.method == "server/discover" ? Hello.modern : Self.ok
        }
        let client = MCPClient(link, options: .test)
        let first = Task { try await client.open() }
        for await _ in started { break }
        let second = Task { try await client.open() }
        first.cancel()
        releaser.finish()
        #expect(try await second.value.revision == .july2026)
        await #expect(throws: MCPError.cancelled) { try await first.value }
    }

    /// A session may have ended before it was listened in. Where the next one is lost as well, there is no such stream.
    @Test(arguments: [(1, MCPError.notOffered("more"), 1), (99, .sessionLost, 0)])
    func aLostSessionIsBegunAgainOnceToListen(lost: Int, ending: MCPError, beginnings: Int) async {
        let losses = Mutex(0)
        let count = Mutex(0)
        let link = FakeLink { request, _ async throws(MCPError) in
            guard request.method == "initialize" else { throw Hello.unknown(request.method) }
            return Hello.handshake(session: "s")
        } listen: { begun, _ async throws(MCPError) in
            let isLost = losses.withLock { count in
                count += 1
                return count <= lost
            }
            if isLost { throw .sessionLost }
            await begun()
            throw .notOffered("more")
        }
        await #expect(throws: ending) {
            try await MCPClient(link, options: .test).toolChanges(begun: { count.withLock { $0 += 1 } }) {}
        }
        #expect(count.withLock { $0 } == beginnings)
        #expect(link.asked.count { $0 == "initialize" } == 2)
    }

    @Test func changesThatAServerHasNotAnnouncedAreNotTold() async {
        let link = FakeLink { request, _ async throws(MCPError) in
            guard request.method == "initialize" else { throw Hello.unknown(request.method) }
            return Hello.handshake()
        } listen: { begun, hear async throws(MCPError) in
            await begun()
            for method in ["notifications/prompts/list_changed", "notifications/tools/list_changed", "notifications/message"] {
                await hear(.notification(method: method, params: nil))
            }
            throw .notOffered("more")
        }
        let heard = Mutex<[String]>([])
        await #expect(throws: MCPError.notOffered("more")) {
            let begun = { @Sendable (kinds: [ListKind]) async in heard.withLock { $0 += kinds.map(\.rawValue) } }
            try await MCPClient(link, options: .test).changes(of: ListKind.allCases, begun: begun) { name, _ in heard.withLock { $0.append(name) } }
        }
        #expect(heard.withLock { $0 } == ["tools", "notifications/tools/list_changed", "notifications/message"])
    }

    @Test func noticesOfChangesComeByEitherEra() async throws {
        let server = Sessions()
        let count = Mutex(0)
        let old = MCPClient(server.link(), options: .test)
        await #expect(throws: MCPError.notOffered("more")) { try await old.toolChanges { count.withLock { $0 += 1 } } }
        let link = FakeLink { request, hear async throws(MCPError) in
            guard request.method == "subscriptions/listen" else { return Hello.modern }
            let isHonoured = request.params?["notifications"]?["toolsListChanged"] == true
            await hear(
                .notification(method: "notifications/subscriptions/acknowledged", params: ["notifications": ["toolsListChanged": .bool(isHonoured)]]))
            await hear(.notification(method: "notifications/tools/list_changed", params: nil))
            return LinkAnswer(result: ["resultType": "complete"])
        }
        let new = MCPClient(link, options: .test)
        await #expect(throws: MCPError.ended("it has ended the notices of changes")) { try await new.toolChanges { count.withLock { $0 += 1 } } }
        #expect(count.withLock { $0 } == 2)
        // A server that agrees to nothing is not listened to.
        let deaf = FakeLink { request, hear async throws(MCPError) in
            guard request.method == "subscriptions/listen" else { return Hello.modern }
            await hear(.notification(method: "notifications/subscriptions/acknowledged", params: ["notifications": [:]]))
            do { try await Task.sleep(for: .seconds(60)) } catch { throw MCPError.cancelled }
            return Hello.modern
        }
        await #expect(throws: MCPError.notOffered("notices of changes of its tools")) { try await MCPClient(deaf, options: .test).toolChanges {} }
    }
}
