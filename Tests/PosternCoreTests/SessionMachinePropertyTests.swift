import ManagedAgentsAPI
import PosternJSON
import SeededRandom
import Testing

@testable import PosternCore

private typealias H = MachineHarness

/// Random lives of a session. After every input the log alone must give back the same state, and what goes to the model must be a
/// conversation that the Messages API takes.
@Suite("Session machine, random lives") struct SessionMachinePropertyTests {
    @Test(arguments: 0..<60) func invariants(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        var limits = SessionLimits()
        limits.attempts = 3
        if seed % 3 == 0 { limits.contextTokens = 400 }
        var h = H(limits: limits, agent: seed % 2 == 0 ? H.agent : Self.agentWithServer)
        var started: Set<String> = []
        for step in 0..<120 {
            let input = Self.input(&h, &random, step)
            do throws(APIError) { try h.feed(input) } catch { continue }
            #expect(try h.refolded() == h.machine.state)
            #expect(h.log.map(\.sequence) == Array(1...max(1, h.log.count)).prefix(h.log.count).map { $0 })
            if !h.requestMessages.isEmpty { try Self.checkConversation(h.requestMessages) }
            if h.machine.state.status == .idle, let last = h.log.last(where: { $0.view == .processed && !$0.type.hasPrefix("user.") }), step > 0 {
                #expect(["session.status_idle", "session.updated"].contains(last.type), "idle after \(last.type)")
            }
            let state = h.machine.state
            if state.status == .running {
                #expect(
                    state.openSpan != nil || state.openListing != nil || state.calls.contains(where: \.isUnderWay),
                    "a running session has something in flight")
            } else {
                #expect(state.openListing == nil && !state.calls.contains(where: \.isUnderWay), "what is in flight keeps the session running")
            }
            try Self.checkStarts(h, &started)
        }
        if seed == 1 { #expect(!started.isEmpty, "no call was ever made at a server") }
        let times = h.log.compactMap(\.processedAt)
        #expect(zip(times, times.dropFirst()).allSatisfy { $0 < $1 })
    }

    /// A call at a server is started once and only while it is to run.
    private static func checkStarts(_ h: H, _ started: inout Set<String>) throws {
        for case .callTool(let id, _, _, _) in h.effects {
            #expect(started.insert(id).inserted, "\(id) is started twice")
            #expect(h.machine.state.calls.first { $0.eventID == id }?.isUnderWay == true)
        }
    }

    private static let agentWithServer: JSONObject = {
        var agent = H.agent
        agent["mcp_servers"] = [["type": "url", "name": "docs", "url": "https://docs.example/mcp"]]
        agent["tools"] = .array(
            (agent["tools"]?.array ?? []) + [
                [
                    "type": "mcp_toolset", "mcp_server_name": "docs", "default_config": ["permission_policy": ["type": "always_allow"]],
                    "configs": [["name": "save", "enabled": true, "permission_policy": ["type": "always_ask"]]],
                ]
            ])
        return agent
    }()

    private static func input(_ h: inout H, _ random: inout SeededGenerator, _ step: Int) -> SessionInput {
        let state = h.machine.state
        if random.next() % 11 == 0 { return .clientEvents([.interrupt(threadID: nil)] + (random.next() % 2 == 0 ? [H.message("after")] : [])) }
        if random.next() % 23 == 0 {
            h.machine = SessionMachine(state: state, limits: h.machine.limits, source: h.machine.source)
            return .resumed
        }
        if random.next() % 13 == 0 {
            return .leaseLost(
                deliveredSequence: random.next() % 2 == 0 ? state.lastSequence : 0, redelivery: random.next() % 3 == 0 ? .atLeastOnce : .atMostOnce)
        }
        if state.status == .rescheduling, random.next() % 2 == 0 { return .retryDue }
        if let listing = state.openListing, random.next() % 3 != 0 {
            let tools: [JSON] = ["find", "save"].map { ["name": .string($0), "description": "", "input_schema": ["type": "object"]] }
            return .toolsListed(listing: listing, ["docs": random.next() % 5 == 0 ? .failure(MCPFailure(.connection, "gone")) : .success(tools)])
        }
        if let call = state.calls.first(where: \.isUnderWay), random.next() % 2 == 0 {
            return .mcpCallFinished(
                eventID: call.eventID,
                random.next() % 3 == 0
                    ? .failure(MCPFailure(.connection, "broke")) : .success(MCPCallResult(content: [H.text("r")], isError: false)))
        }
        if let span = state.openSpan, random.next() % 3 != 0 {
            switch random.next() % 6 {
            case 0: return .modelFinished(span: span, .failure(ModelError(.overloaded, "busy")), previewIDs: [:])
            case 1 where random.next() % 4 == 0: return .modelFinished(span: span, .failure(ModelError(.contextTooLong, "long")), previewIDs: [:])
            case 2, 3:
                return .modelFinished(
                    span: span, .success(.init(content: [H.text("done \(step)")], stopReason: "end_turn", usage: .init(input: 50))), previewIDs: [:])
            default:
                let names = ["bash", "write", "lookup", "edit", "read"] + (state.mcpTools.isEmpty ? [] : ["mcp__docs__find", "mcp__docs__save"])
                let uses = (0...Int(random.next() % 3)).map { H.use(names[Int(random.next() % UInt64(names.count))], "toolu_\(step)_\($0)") }
                return .modelFinished(span: span, .success(.init(content: uses, stopReason: "tool_use", usage: .init(input: 20))), previewIDs: [:])
            }
        }
        if let call = state.calls.randomElement(using: &random), random.next() % 5 != 0 {
            if call.permission == .ask, call.verdict == nil {
                return .clientEvents([.toolConfirmation(toolUseID: call.eventID, allow: random.next() % 2 == 0, denyMessage: nil)])
            }
            return .clientEvents([
                call.owner == .client
                    ? .customToolResult(toolUseID: call.eventID, content: [H.text("r")], isError: false)
                    : .toolResult(toolUseID: call.eventID, content: [H.text("r")], isError: random.next() % 2 == 0)
            ])
        }
        return .clientEvents([H.message("message \(step)")])
    }

    /// Every tool use is answered, completely and first, in the very next message.
    static func checkConversation(_ messages: [JSON]) throws {
        #expect(messages.first?["role"]?.string == "user")
        for (index, message) in messages.enumerated() {
            let uses = (message["content"]?.array ?? []).filter { $0["type"]?.string == "tool_use" }.map { $0["id"]?.string }
            let next = index + 1 < messages.count ? messages[index + 1]["content"]?.array ?? [] : []
            let results = next.filter { $0["type"]?.string == "tool_result" }.map { $0["tool_use_id"]?.string }
            #expect(uses == results)
        }
    }
}
