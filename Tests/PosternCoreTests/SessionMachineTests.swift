import ManagedAgentsAPI
import PosternJSON
import Testing

@testable import PosternCore

private typealias H = MachineHarness

@Suite("Session machine") struct SessionMachineTests {
    private static let running = ["session.status_running", "session.thread_status_running"]
    private static let idle = ["session.thread_status_idle", "session.usage", "session.status_idle"]

    @Test("A message starts a turn, an answer ends it, idle is last") func plainTurn() throws {
        var h = H()
        #expect(
            try h.send(H.message("hello")) == ["(user.message)"] + Self.running + ["user.message", "span.model_request_start"])
        #expect(h.requestMessages.count == 1)
        #expect(h.requestMessages[0]["content"]?.array?[0]["cache_control"] != nil)
        #expect(
            try h.answer([H.text("hi")]) == ["[postern.model_response]", "agent.message", "span.model_request_end"] + Self.idle)
        #expect(h.last("session.status_idle")?["stop_reason"]?["type"]?.string == "end_turn")
        #expect(h.machine.state.usage.tokens == ModelUsage(input: 10, output: 5))
        #expect(h.machine.state.usage.activeMicroseconds > 0)
    }

    @Test("A call waits for its result; the result precedes the running pair") func toolCall() throws {
        var h = H()
        _ = try h.send(H.message("go"))
        #expect(
            try h.answer(
                [["type": "thinking", "thinking": "x", "signature": "s"], H.text("I run"), H.use("bash", "toolu_1", ["command": "ls"])],
                stop: "tool_use")
                == ["[postern.model_response]", "agent.thinking", "agent.message", "agent.tool_use", "span.model_request_end"] + Self.idle)
        let call = try #require(h.last("agent.tool_use"))
        #expect(call["evaluated_permission"]?.string == "allow")
        let id = try #require(call["id"]?.string)
        #expect(h.last("session.status_idle")?["stop_reason"] == ["type": "requires_action", "event_ids": [.string(id)]])
        let result = ClientEvent.toolResult(toolUseID: id, content: [H.text("a b")], isError: false)
        #expect(try h.send(result) == ["user.tool_result"] + Self.running + ["span.model_request_start"])
        #expect(h.requestMessages.map { $0["role"]?.string } == ["user", "assistant", "user"])
        #expect(h.requestMessages[1]["content"]?.array?[0]["signature"]?.string == "s")
        #expect(h.requestMessages[2]["content"]?.array?[0]["tool_use_id"]?.string == "toolu_1")
        // A second result is accepted, echoed under the first one's id, and changes nothing.
        let length = h.log.count
        #expect(try h.send(result).isEmpty)
        #expect(h.echoes.count == 1 && h.log.count == length)
    }

    @Test("Of parallel calls, each answer but the last says what is left") func parallelCalls() throws {
        var h = H()
        _ = try h.send(H.message("go"))
        try h.answer([H.use("bash", "t1"), H.use("lookup", "t2")], stop: "tool_use")
        let calls = h.machine.state.calls.map(\.eventID)
        #expect(try h.send(.customToolResult(toolUseID: calls[1], content: [], isError: false)) == ["user.custom_tool_result"] + Self.idle)
        #expect(h.last("session.status_idle")?["stop_reason"]?["event_ids"] == [.string(calls[0])])
        #expect(try h.send(.toolResult(toolUseID: calls[0], content: [], isError: true)).last == "span.model_request_start")
        // The results reach the model in the order of its calls.
        #expect(h.requestMessages.last?["content"]?.array?.map { $0["tool_use_id"]?.string } == ["t1", "t2"])
    }

    @Test("A gated call runs after allow and is refused after deny, in the reference's words") func confirmation() throws {
        var h = H()
        _ = try h.send(H.message("go"))
        try h.answer([H.use("write", "t1"), H.use("write", "t2")], stop: "tool_use")
        let calls = h.machine.state.calls.map(\.eventID)
        #expect(throws: APIError.self) { try h.send(.toolResult(toolUseID: calls[0], content: [], isError: false)) }
        #expect(try h.send(.toolConfirmation(toolUseID: calls[0], allow: false, denyMessage: "no")) == ["user.tool_confirmation"] + Self.idle)
        #expect(h.last("session.status_idle")?["stop_reason"]?["event_ids"] == [.string(calls[1])])
        #expect(try h.send(.toolConfirmation(toolUseID: calls[1], allow: true, denyMessage: nil)) == ["user.tool_confirmation"] + Self.idle)
        #expect(
            try h.send(.toolResult(toolUseID: calls[1], content: [H.text("ok")], isError: false))
                == ["user.tool_result"] + Self.running + ["agent.tool_result", "span.model_request_start"])
        #expect(
            h.last("agent.tool_result")?["content"]?.array?[0]["text"]?.string == "Permission to use write has been rejected. Rejection message: no")
    }

    @Test("A tool that is switched off is refused at once") func disabledTool() throws {
        var h = H()
        _ = try h.send(H.message("go"))
        let types = try h.answer([H.use("edit", "t1"), H.use("nonsense", "t2")], stop: "tool_use")
        #expect(types.filter { $0 == "agent.tool_result" }.count == 2)
        #expect(types.last == "span.model_request_start")
        #expect(h.last("agent.tool_use")?["evaluated_permission"]?.string == "deny")
    }

    @Test("Messages that arrive during a turn join it") func queuedMessage() throws {
        var h = H()
        _ = try h.send(H.message("one"))
        #expect(try h.send(H.message("two")) == ["(user.message)"])
        #expect(try h.answer([H.text("1")]).suffix(2) == ["user.message", "span.model_request_start"])
        #expect(h.requestMessages.count == 3)
    }

    @Test("An interrupt stops a request, answers calls and ends a wait") func interrupts() throws {
        var h = H()
        _ = try h.send(H.message("one"))
        #expect(try h.send(.interrupt(threadID: nil)) == ["(user.interrupt)", "span.model_request_end", "user.interrupt"] + Self.idle)
        #expect(h.effects.contains { if case .cancelRequest = $0 { true } else { false } })
        #expect(try h.send(.interrupt(threadID: nil)) == ["(user.interrupt)", "user.interrupt"])

        _ = try h.send(H.message("two"))
        try h.answer([H.use("bash", "t1"), H.use("lookup", "t2")], stop: "tool_use")
        #expect(
            try h.send(.interrupt(threadID: nil), H.message("three"))
                == ["(user.interrupt)", "(user.message)", "user.tool_result", "user.custom_tool_result", "user.interrupt"] + Self.idle + Self.running
                + ["user.message", "span.model_request_start"])
        #expect(
            h.last("user.tool_result")?["content"]?.array?[0]["text"]?.string == "Tool execution was interrupted before completion. Please retry.")
        #expect(throws: APIError.self) { try h.send(.interrupt(threadID: "sthr_other")) }

        _ = try h.fail(ModelError(.overloaded, "busy"))
        #expect(h.machine.state.status == .rescheduling)
        #expect(try h.send(.interrupt(threadID: nil)).last == "session.status_idle")
        #expect(h.effects.contains(.cancelRetry))
    }

    @Test("Failures are retried with growing waits and then given up; nothing is lost") func retries() throws {
        var limits = SessionLimits()
        limits.attempts = 3
        var h = H(limits: limits)
        _ = try h.send(H.message("one"))
        #expect(
            try h.fail(ModelError(.overloaded, "busy"))
                == ["span.model_request_end", "session.error", "session.status_rescheduled", "session.thread_status_rescheduled"])
        #expect(h.effects == [.scheduleRetry(after: .milliseconds(500))])
        #expect(try h.send(H.message("two")) == ["(user.message)"])
        #expect(try h.feed(.retryDue).last == "span.model_request_start")
        _ = try h.fail(ModelError(.unavailable, "gone", retryAfter: .seconds(9)))
        #expect(h.effects == [.scheduleRetry(after: .seconds(9))])
        _ = try h.feed(.retryDue)
        #expect(try h.fail(ModelError(.rateLimited, "slow")).suffix(4) == ["session.error"] + Self.idle)
        #expect(h.last("session.error")?["error"]?["retry_status"]?["type"]?.string == "exhausted")
        #expect(h.last("session.status_idle")?["stop_reason"]?["type"]?.string == "retries_exhausted")
        _ = try h.send(H.message("three"))
        #expect(h.requestMessages.count == 3)
    }

    @Test("A bad request is not retried") func badRequest() throws {
        var h = H()
        _ = try h.send(H.message("one"))
        #expect(try h.fail(ModelError(.billing, "no money")).last == "session.status_idle")
        #expect(h.last("session.error")?["error"]?["type"]?.string == "billing_error")
    }

    @Test("Calls of a lost worker are settled once; what it was not handed, and what changes nothing, stays open") func lostLease() throws {
        var h = H()
        _ = try h.send(H.message("go"))
        try h.answer([H.use("bash", "t1"), H.use("read", "t2"), H.use("bash", "t3")], stop: "tool_use")
        let calls = h.machine.state.calls
        let handed = calls[1].sequence
        #expect(try h.feed(.leaseLost(deliveredSequence: handed, redelivery: .atLeastOnce)).isEmpty)
        #expect(try h.feed(.leaseLost(deliveredSequence: handed, redelivery: .atMostOnce)) == ["user.tool_result"] + Self.idle)
        #expect(h.last("user.tool_result")?["tool_use_id"]?.string == calls[0].eventID)
        #expect(h.machine.state.outstanding.map(\.eventID) == [calls[1].eventID, calls[2].eventID])
    }

    @Test("A session that was killed in mid-request asks again") func resumed() throws {
        var h = H()
        _ = try h.send(H.message("go"))
        h.machine = SessionMachine(state: try h.refolded(), source: h.machine.source)
        #expect(try h.feed(.resumed) == ["span.model_request_end", "span.model_request_start"])
        #expect(h.requestMessages.count == 1)
    }

    @Test("Near the context limit the conversation becomes a summary") func compaction() throws {
        var limits = SessionLimits()
        limits.contextTokens = 1000
        var h = H(limits: limits)
        _ = try h.send(H.message("go"))
        try h.answer([H.text("1")], usage: ModelUsage(input: 990, output: 5))
        _ = try h.send(H.message("more"))
        #expect(h.machine.state.isCompacting)
        #expect(
            try h.answer([H.text("We greeted.")])
                == ["[postern.compaction]", "agent.thread_context_compacted", "span.model_request_end", "span.model_request_start"])
        #expect(h.requestMessages.count == 1)
    }

    @Test("Tools cannot change while the session runs") func update() throws {
        var h = H()
        _ = try h.send(H.message("go"))
        #expect(throws: APIError.self) { try h.feed(.updated(title: nil, metadata: nil, agent: H.agent)) }
        #expect(try h.feed(.updated(title: .some("t"), metadata: nil, agent: nil)) == ["session.updated"])
    }

    @Test("Results that fit no call are refused and change nothing") func badResults() throws {
        var h = H()
        _ = try h.send(H.message("go"))
        try h.answer([H.use("bash", "t1")], stop: "tool_use")
        let id = h.machine.state.calls[0].eventID
        let length = h.log.count
        for event: ClientEvent in [
            .toolResult(toolUseID: "sevt_none", content: [], isError: false), .customToolResult(toolUseID: id, content: [], isError: false),
            .toolConfirmation(toolUseID: id, allow: true, denyMessage: nil), .systemMessage(content: [H.text("x")]),
        ] {
            #expect(throws: APIError.self) { try h.send(H.message("first"), event, H.message("second")) }
        }
        #expect(h.log.count == length && h.machine.state.waiting.isEmpty)
    }

    @Test("A session that has all its events takes what ends a turn and nothing else") func eventsPerSession() throws {
        var limits = SessionLimits()
        limits.eventsPerSession = 10
        var h = H(limits: limits)
        _ = try h.send(H.message("go"))
        try h.answer([H.use("bash", "t1"), H.use("bash", "t2"), H.use("write", "t3")], stop: "tool_use")
        #expect(h.machine.state.eventCount > 10, "what the engine appends is not refused")
        let calls = h.machine.state.calls.map(\.eventID)
        let before = h.log.count
        for refused: [ClientEvent] in [
            [H.message("more")], [.interrupt(threadID: nil), .interrupt(threadID: nil)],
            [.toolResult(toolUseID: calls[0], content: [], isError: false), H.message("beside a result")],
        ] {
            let error = #expect(throws: APIError.self) { try h.feed(.clientEvents(refused)) }
            #expect(error?.status == 400 && error?.details?["error_code"] == "session_events_limit", "\(refused)")
            #expect(error?.message.contains("maximum of 10 for one session") == true && error?.message.contains("max_events_per_session") == true)
        }
        #expect(throws: APIError.self) { try h.feed(.updated(title: .some("t"), metadata: nil, agent: nil)) }
        #expect(h.log.count == before, "all or none")

        #expect(try h.send(.toolResult(toolUseID: calls[0], content: [], isError: false)).first == "user.tool_result")
        _ = try h.send(.toolConfirmation(toolUseID: calls[2], allow: false, denyMessage: nil))
        #expect(try h.send(.toolResult(toolUseID: calls[1], content: [], isError: false)).last == "span.model_request_start")
        #expect(try h.answer([H.text("done")]).last == "session.status_idle", "the turn ends by itself")
        #expect(throws: APIError.self) { try h.send(.interrupt(threadID: nil)) }
        #expect(throws: APIError.self) { try h.send(H.message("again")) }
        #expect(try h.refolded().eventCount == h.machine.state.eventCount)
    }

    @Test("A running turn of a full session can be interrupted") func interruptOfAFullSession() throws {
        var limits = SessionLimits()
        limits.eventsPerSession = 1
        var h = H(limits: limits)
        _ = try h.send(H.message("go"))
        #expect(try h.send(.interrupt(threadID: nil)).last == "session.status_idle")
        #expect(throws: APIError.self) { try h.send(.interrupt(threadID: nil)) }
    }

    @Test("Events are counted as a list shows them") func eventCount() throws {
        var h = H()
        _ = try h.send(H.message("one"))
        _ = try h.send(H.message("waits"))
        let listed = Set(h.log.filter { $0.view != .hidden }.map(\.eventID))
        #expect(h.machine.state.eventCount == listed.count)
        try h.answer([H.text("done")])
        #expect(h.machine.state.eventCount == Set(h.log.filter { $0.view != .hidden }.map(\.eventID)).count)
        #expect(h.machine.state.eventCount < h.log.count)
    }
}
