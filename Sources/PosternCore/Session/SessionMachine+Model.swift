import ManagedAgentsAPI
import PosternJSON

// Model requests: what is asked, what becomes of the answer, and what happens when there is none.
extension SessionMachine {
    /// The request for the next answer.
    func request() -> ModelRequest {
        let model = state.agent["model"]
        return ModelRequest(
            model: state.modelID, maximumTokens: answerTokens, system: system, tools: state.toolset.definitions,
            messages: state.transcript.messagesWithBreakpoint(), effort: model?["effort"]?["type"]?.string, speed: model?["speed"]?.string,
            inferenceGeo: model?["inference_geo"]?.string)
    }

    /// The agent's own prompt, then what it must know of the place it works in.
    var system: [JSON] {
        var blocks: [JSON] = []
        if let prompt = state.agent["system"]?.string, !prompt.isEmpty { blocks.append(["type": "text", "text": .string(prompt)]) }
        if state.toolset.entries.values.contains(where: { $0.owner == .worker }) {
            blocks.append([
                "type": "text",
                "text": """
                Your tools run in a sandbox on the customer's own network. The working directory is /workspace. Very long tool outputs are kept whole \
                in /mnt/session/tool_outputs; the result then names the file.
                """,
            ])
        }
        if case .object(var last)? = blocks.last {
            last["cache_control"] = ["type": "ephemeral"]
            blocks[blocks.count - 1] = .object(last)
        }
        return blocks
    }

    /// Turns an answer into events, and goes on, waits or ends.
    mutating func finish(_ response: ModelResponse, _ previewIDs: [Int: String]) {
        guard let span = state.openSpan else { return }
        var calls: [JSON] = []
        var events: [(type: String, id: String, fields: JSONObject)] = []
        for (index, block) in response.content.enumerated() {
            switch block["type"]?.string {
            case "text":
                guard let text = block["text"]?.string, !text.isEmpty else { continue }
                let content: JSON = ["type": "text", "text": .string(text)]
                if index > 0, response.content[index - 1]["type"]?.string == "text", events.last?.type == "agent.message" {
                    // One message per run of text blocks, as previews announced it.
                    events[events.count - 1].fields["content"] = .array((events[events.count - 1].fields["content"]?.array ?? []) + [content])
                } else {
                    events.append(("agent.message", previewIDs[index] ?? source.makeID(), ["content": [content]]))
                }
            case "thinking", "redacted_thinking": events.append(("agent.thinking", previewIDs[index] ?? source.makeID(), [:]))
            case "tool_use":
                let (event, call) = toolUse(block)
                events.append(event)
                calls.append(call)
            default: break
            }
        }
        // Before the events, so that they find their calls.
        emit(
            HiddenEvent.modelResponse,
            ["content": .array(response.content), "stop_reason": .string(response.stopReason), "calls": .array(calls)], view: .hidden)
        for event in events { emit(event.type, event.fields, id: event.id) }
        endSpan(span, usage: response.usage, isError: false)
        startCalls()
        settle(response)
    }

    private func toolUse(_ block: JSON) -> (event: (type: String, id: String, fields: JSONObject), call: JSON) {
        let name = block["name"]?.string ?? ""
        let entry = state.toolset.entries[name]
        let permission = entry?.policy.permission ?? .deny
        let owner = entry?.owner ?? .worker
        let id = source.makeID()
        var fields: JSONObject = ["name": .string(name), "input": .object(block["input"]?.object ?? [:])]
        if let mcp = entry?.mcp {
            fields["name"] = .string(mcp.name)
            fields["mcp_server_name"] = .string(mcp.server)
        }
        if owner != .client {
            fields["evaluated_permission"] = .string(permission.rawValue)
            if let entry { fields["evaluation"] = entry.policy.evaluation }
        }
        var call: JSONObject = [
            "event_id": .string(id), "tool_use_id": block["id"] ?? "", "name": .string(name), "owner": .string(owner.rawValue),
            "permission": .string(permission.rawValue),
        ]
        if let mcp = entry?.mcp {
            call["mcp_server_name"] = .string(mcp.server)
            call["mcp_tool_name"] = .string(mcp.name)
        }
        return ((Self.useEvent(owner), id, fields), .object(call))
    }

    private static func useEvent(_ owner: Toolset.Owner) -> String {
        switch owner {
        case .worker: "agent.tool_use"
        case .client: "agent.custom_tool_use"
        case .server: "agent.mcp_tool_use"
        }
    }

    private mutating func settle(_ response: ModelResponse) {
        if !state.calls.isEmpty || state.owesAnswer { return waitOrAdvance() }
        switch response.stopReason {
        case "pause_turn": advance()
        case "refusal": enterIdle(["type": "refusal"], details: response.stopDetails ?? ["type": "refusal"])
        case "model_context_window_exceeded" where state.transcript.count > 2: startCompaction(isTooLong: true)
        default:
            // What arrived meanwhile joins the turn instead of waiting for the next one.
            state.waiting.isEmpty ? enterIdle(["type": "end_turn"]) : advance()
        }
    }

    // MARK: Failures

    mutating func fail(_ error: ModelError) {
        guard let span = state.openSpan else { return }
        let compaction = state.compaction
        endSpan(span, usage: .init(), isError: true)
        if error.kind == .contextTooLong { return shorten(error, after: compaction) }
        // What the service will not take of the conversation, it may take as text.
        if error.kind == .requestFailed, compaction != nil, compaction?.budget == nil { return compact(budget: textBudget) }
        if error.refusesContent, compaction == nil { return withhold(error) }
        guard error.isRetryable, state.failures < limits.attempts else {
            return giveUp(Self.errorType(error.kind), error.message)
        }
        emitError(Self.errorType(error.kind), error.message, "retrying")
        emit("session.status_rescheduled")
        emit("session.thread_status_rescheduled", threadFields)
        addEffect(.scheduleRetry(after: max(retryDelay, error.retryAfter ?? .zero)))
    }

    /// The same request would be refused again, and so would every later one with the same content. The results of calls are told as refused and the
    /// turn goes on; a client learns it from the error, and its next message goes on.
    private mutating func withhold(_ error: ModelError) {
        guard state.transcript.withholding(error.message) != nil else { return giveUp(Self.errorType(error.kind), error.message) }
        emit(HiddenEvent.withheld, ["reason": .string(error.message)], view: .hidden)
        guard state.transcript.endsInResults else { return giveUp(Self.errorType(error.kind), error.message) }
        emitError(Self.errorType(error.kind), error.message, "retrying")
        startRequest()
    }

    /// Doubles with each failure, less up to a quarter, so that sessions that failed together do not come back together.
    private var retryDelay: Duration {
        let doubled = limits.shortestRetry * (1 << min(state.failures - 1, 16))
        return min(doubled, limits.longestRetry) * (1 - source.random() / 4)
    }

    /// The turn is dead. Messages that still waited have been read into the conversation, so none is lost; the next message goes on from there.
    mutating func giveUp(_ type: String, _ message: String) {
        for event in state.waiting { emit(event.type, event.fields, id: event.id) }
        emitError(type, message, "exhausted")
        enterIdle(["type": "retries_exhausted"])
    }

    /// - Parameter server: of the MCP server that it is about.
    mutating func emitError(_ type: String, _ message: String, _ retry: String, server: String? = nil) {
        var error: JSONObject = ["type": .string(type), "message": .string(message), "retry_status": ["type": .string(retry)]]
        if let server { error["mcp_server_name"] = .string(server) }
        emit("session.error", ["error": .object(error)])
    }

    private static func errorType(_ kind: ModelError.Kind) -> String {
        switch kind {
        case .overloaded: "model_overloaded_error"
        case .rateLimited: "model_rate_limited_error"
        case .billing: "billing_error"
        case .authentication, .requestFailed, .contextTooLong, .unavailable, .cancelled: "model_request_failed_error"
        }
    }
}
