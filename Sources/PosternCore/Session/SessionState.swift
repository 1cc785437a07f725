import ManagedAgentsAPI
import PosternJSON

/// What a session's log amounts to: the fold of its rows. Everything the engine decides is a function of this value, so a process that
/// was killed goes on by reading the log again.
struct SessionState: Sendable, Equatable {
    /// A client's event that has arrived and waits for the model's attention.
    struct Waiting: Sendable, Equatable {
        var id: String
        var type: String
        var fields: JSONObject
    }

    /// How a summary is asked for.
    struct Compaction: Sendable, Equatable {
        /// About how many tokens of the conversation's text; nil for the conversation as it is.
        var budget: Int?
    }

    private struct Count: Sendable, Equatable {
        var tokens: Int
        /// The transcript's own estimate at that time.
        var estimate: Int
    }

    let sessionID: String
    let threadID: String
    /// The snapshot that the session runs with; `session.updated` replaces it.
    private(set) var agent: JSONObject
    private(set) var toolset: Toolset
    private(set) var status: SessionRecord.Status = .idle
    private(set) var usage = SessionUsage()
    private(set) var transcript = Transcript()
    private(set) var waiting: [Waiting] = []
    /// The calls of the model's last answer, in its order; empty once all have results.
    private(set) var calls: [ToolCall] = []
    /// Every call that has a result → the event that brought it. A second result is accepted and changes nothing.
    private(set) var answered: [String: String] = [:]
    /// The last call of an answer has been answered, and the model has not read the results yet.
    private(set) var owesAnswer = false
    /// The `span.model_request_start` that has no end yet.
    private(set) var openSpan: String?
    /// The summary that the open span asks for, instead of the next answer.
    private(set) var compaction: Compaction?
    var isCompacting: Bool { compaction != nil }
    /// What MCP servers were found to have, by the server's name.
    private(set) var mcpTools: [String: [JSON]] = [:]
    /// The listing of MCP tools that has no end yet: the id of its row.
    private(set) var openListing: String?
    /// The MCP servers have been asked for their tools in this turn.
    private(set) var hasListed = false
    /// Failed model requests in a row.
    private(set) var failures = 0
    /// Model requests since the session became busy.
    private(set) var requestsThisTurn = 0
    /// What the last answer said that the context holds; nil before one, and after a summary.
    private var counted: Count?
    /// The context's size as the service has told it by refusing a request.
    private(set) var toldContextTokens: Int?
    private(set) var lastSequence = 0
    /// Events as lists show them: without hidden rows, and a client's event once.
    private(set) var eventCount = 0
    private(set) var lastProcessedAt = Timestamp(microseconds: 0)
    private var runningSince: Timestamp?

    init(sessionID: String, threadID: String, agent: JSONObject) {
        self.sessionID = sessionID
        self.threadID = threadID
        self.agent = agent
        toolset = Toolset(agent["tools"]?.array ?? [])
    }

    var modelID: String { agent["model"]?["id"]?.string ?? agent["model"]?.string ?? "" }

    /// Tokens of the next request: exact for what the last answer counted, a guess for what was appended since. Without a count all is guessed,
    /// `prefix` for the system prompt and the tools.
    func contextTokens(prefix: () -> Int) -> Int {
        guard let counted else { return prefix() + transcript.tokens }
        return counted.tokens + max(0, transcript.tokens - counted.estimate)
    }

    /// The calls that must be answered before the model can go on.
    var outstanding: [ToolCall] { calls.filter(\.isOutstanding) }

    /// The sums at that time, the running stretch included.
    func usage(at time: Timestamp) -> SessionUsage {
        var usage = usage
        if let runningSince { usage.activeMicroseconds += max(0, time.microseconds - runningSince.microseconds) }
        return usage
    }

    mutating func markArchived() { status = .terminated }

    /// Folds one row whose JSON is at hand.
    mutating func apply(_ draft: EventDraft, sequence: Int) {
        lastSequence = sequence
        if let time = draft.processedAt { lastProcessedAt = max(lastProcessedAt, time) }
        switch draft.view {
        case .received:
            eventCount += 1
            waiting.append(Waiting(id: draft.id, type: draft.type, fields: draft.fields))
        case .processed:
            if !waiting.contains(where: { $0.id == draft.id }) { eventCount += 1 }
            applyProcessed(draft, sequence: sequence)
        case .hidden: applyHidden(draft)
        }
    }

    private mutating func applyProcessed(_ draft: EventDraft, sequence: Int) {
        let fields = draft.fields
        switch draft.type {
        case "user.message":
            waiting.removeAll { $0.id == draft.id }
            transcript.append(role: "user", fields["content"]?.array ?? [])
        case "system.message":
            waiting.removeAll { $0.id == draft.id }
            transcript.append(role: "system", fields["content"]?.array ?? [])
        case "user.interrupt":
            waiting.removeAll { $0.id == draft.id }
            owesAnswer = false
        case "user.tool_result", "agent.tool_result": answer(fields["tool_use_id"]?.string, with: draft)
        case "agent.mcp_tool_result": answer(fields["mcp_tool_use_id"]?.string, with: draft)
        case "user.custom_tool_result": answer(fields["custom_tool_use_id"]?.string, with: draft)
        case "user.tool_confirmation":
            guard let index = calls.firstIndex(where: { $0.eventID == fields["tool_use_id"]?.string }) else { return }
            calls[index].verdict = fields["result"]?.string == "allow" ? .allowed : .denied(message: fields["deny_message"]?.string)
        case "agent.tool_use", "agent.custom_tool_use", "agent.mcp_tool_use":
            guard let index = calls.firstIndex(where: { $0.eventID == draft.id }) else { return }
            calls[index].sequence = sequence
        case "span.model_request_start":
            openSpan = draft.id
            requestsThisTurn += 1
        case "span.model_request_end":
            openSpan = nil
            applyUsage(fields)
            compaction = nil
        case "session.status_running":
            status = .running
            runningSince = draft.processedAt
        case "session.status_idle":
            leaveRunning(at: draft.processedAt, to: .idle)
            openListing = nil
            if fields["stop_reason"]?["type"]?.string != "requires_action" {
                requestsThisTurn = 0
                owesAnswer = false
                hasListed = false
            }
            failures = 0
        case "session.status_rescheduled": leaveRunning(at: draft.processedAt, to: .rescheduling)
        case "session.status_terminated": leaveRunning(at: draft.processedAt, to: .terminated)
        case "session.updated":
            guard let agent = fields["agent"]?.object else { return }
            self.agent = agent
            // A name may stand for another server now.
            mcpTools = [:]
            hasListed = false
            toolset = Toolset(agent["tools"]?.array ?? [])
        default: break
        }
    }

    private mutating func applyHidden(_ draft: EventDraft) {
        switch draft.type {
        case HiddenEvent.modelResponse:
            let content = draft.fields["content"]?.array ?? []
            transcript.append(role: "assistant", content)
            owesAnswer = false
            calls = (draft.fields["calls"]?.array ?? []).compactMap { call in
                guard let event = call["event_id"]?.string, let use = call["tool_use_id"]?.string, let name = call["name"]?.string,
                    let owner = call["owner"]?.string.flatMap(Toolset.Owner.init(rawValue:)),
                    let permission = call["permission"]?.string.flatMap(Permission.init(rawValue:))
                else { return nil }
                var mcp: Toolset.MCPTool?
                var input: JSONObject = [:]
                if let server = call["mcp_server_name"]?.string, let tool = call["mcp_tool_name"]?.string {
                    mcp = .init(server: server, name: tool)
                    input = content.first { $0["type"] == "tool_use" && $0["id"]?.string == use }?["input"]?.object ?? [:]
                }
                return ToolCall(
                    eventID: event, toolUseID: use, name: name, owner: owner, mcp: mcp, input: input, permission: permission,
                    sequence: lastSequence)
            }
        case HiddenEvent.listingStart: openListing = draft.id
        case HiddenEvent.listing:
            openListing = nil
            hasListed = true
            guard let changed = draft.fields["tools"]?.object, !changed.isEmpty else { return }
            for (server, tools) in changed { mcpTools[server] = tools.array }
            toolset = Toolset(agent["tools"]?.array ?? [], listed: mcpTools)
        case HiddenEvent.withheld: transcript = transcript.withholding(draft.fields["reason"]?.string ?? "") ?? transcript
        case HiddenEvent.contextLimit: toldContextTokens = draft.fields["tokens"]?.int
        case HiddenEvent.compactionStart: compaction = Compaction(budget: draft.fields["budget"]?.int)
        case HiddenEvent.compaction:
            transcript.replace(withSummary: draft.fields["summary"]?.string ?? "")
            counted = nil
        default: break
        }
    }

    private mutating func answer(_ callID: String?, with draft: EventDraft) {
        guard let callID, let index = calls.firstIndex(where: { $0.eventID == callID }) else { return }
        answered[callID] = draft.id
        let isError = draft.fields["is_error"]?.bool ?? false
        calls[index].result = [
            "type": "tool_result", "tool_use_id": .string(calls[index].toolUseID),
            "content": .array(SentContent.result(draft.fields["content"]?.array ?? [], isError: isError)), "is_error": .bool(isError),
        ]
        guard calls.allSatisfy({ $0.result != nil }) else { return }
        transcript.append(role: "user", calls.compactMap(\.result))
        calls = []
        owesAnswer = true
    }

    private mutating func applyUsage(_ fields: JSONObject) {
        guard fields["is_error"]?.bool != true else {
            failures += 1
            return
        }
        failures = 0
        guard let usage = fields["model_usage"].map(ModelUsage.init(spanUsage:)) else { return }
        self.usage.tokens += usage
        // A request for a summary says nothing of the conversation that goes on from it.
        guard !isCompacting else { return }
        let tokens = usage.input + usage.cacheRead + usage.cacheCreation5m + usage.cacheCreation1h + usage.output
        counted = tokens > 0 ? Count(tokens: tokens, estimate: transcript.tokens) : nil
    }

    private mutating func leaveRunning(at time: Timestamp?, to status: SessionRecord.Status) {
        if let time { usage = usage(at: time) }
        runningSince = nil
        self.status = status
    }
}

extension SessionState {
    /// Folds a stored row.
    mutating func apply(_ row: EventRow) throws(JSONParseError) {
        guard case .object(var fields) = try JSON(parsing: row.bytes) else {
            throw JSONParseError(offset: 0, reason: "event \(row.sequence) of session \(sessionID) is no object")
        }
        for key in EventDraft.envelope { fields[key] = nil }
        apply(
            EventDraft(id: row.eventID, view: row.view, type: row.type, fields: fields, processedAt: row.processedAt), sequence: row.sequence)
    }
}

extension ModelUsage {
    static func += (left: inout ModelUsage, right: ModelUsage) {
        left.input += right.input
        left.output += right.output
        left.cacheRead += right.cacheRead
        left.cacheCreation5m += right.cacheCreation5m
        left.cacheCreation1h += right.cacheCreation1h
    }

    /// `model_usage` of `span.model_request_end` has one figure for both lives of a cache entry; Postern only writes the short one.
    init(spanUsage json: JSON) {
        self.init(
            input: json["input_tokens"]?.int ?? 0, output: json["output_tokens"]?.int ?? 0, cacheRead: json["cache_read_input_tokens"]?.int ?? 0,
            cacheCreation5m: json["cache_creation_input_tokens"]?.int ?? 0)
    }

    var spanUsage: JSON {
        [
            "input_tokens": JSON(input), "output_tokens": JSON(output), "cache_read_input_tokens": JSON(cacheRead),
            "cache_creation_input_tokens": JSON(cacheCreation5m + cacheCreation1h),
        ]
    }
}

extension SessionUsage {
    /// `usage` of a session and of `session.usage` (contract section 2.4).
    package var json: JSON {
        [
            "input_tokens": JSON(tokens.input), "output_tokens": JSON(tokens.output), "cache_read_input_tokens": JSON(tokens.cacheRead),
            "cache_creation": [
                "ephemeral_5m_input_tokens": JSON(tokens.cacheCreation5m), "ephemeral_1h_input_tokens": JSON(tokens.cacheCreation1h),
            ],
            "active_seconds": .double(Double(activeMicroseconds) / 1_000_000),
        ]
    }
}
