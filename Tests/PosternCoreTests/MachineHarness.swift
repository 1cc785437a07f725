import ManagedAgentsAPI
import PosternJSON
import Synchronization

@testable import PosternCore

/// A machine with a clock and ids that count, and a stored log to fold again.
struct MachineHarness {
    var machine: SessionMachine
    var log: [EventRow] = []
    var effects: [SessionEffect] = []
    var echoes: [[UInt8]] = []
    let agent: JSONObject

    static let agent: JSONObject = [
        "type": "agent", "id": "agent_1", "version": 1, "name": "tester", "model": ["id": "scripted", "effort": ["type": "high"]],
        "system": "Be brief.",
        "tools": [
            [
                "type": "agent_toolset_20260401", "default_config": ["enabled": true, "permission_policy": ["type": "always_allow"]],
                "configs": [
                    ["name": "write", "type": "write", "enabled": true, "permission_policy": ["type": "always_ask"]],
                    ["name": "edit", "type": "edit", "enabled": false, "permission_policy": ["type": "always_allow"]],
                ],
            ], ["type": "custom", "name": "lookup", "description": "Looks up", "input_schema": ["type": "object"]],
        ],
    ]

    init(limits: SessionLimits = .init(), agent: JSONObject = Self.agent) {
        self.agent = agent
        let counter = Counter()
        machine = SessionMachine(
            state: SessionState(sessionID: "sesn_1", threadID: "sthr_1", agent: agent), limits: limits,
            source: StepSource(now: { counter.time() }, makeID: { counter.id() }, random: { 0 }))
    }

    /// Feeds one input and returns the new rows' types (hidden ones in brackets, received ones in parentheses).
    @discardableResult
    mutating func feed(_ input: SessionInput) throws(APIError) -> [String] {
        try machine.handle(input)
        let step = machine.takeStep()
        log += step.rows
        effects = step.effects
        echoes = step.echoes
        return step.rows.map { row in
            switch row.view {
            case .received: "(\(row.type))"
            case .processed: row.type
            case .hidden: "[\(row.type)]"
            }
        }
    }

    mutating func send(_ events: ClientEvent...) throws(APIError) -> [String] { try feed(.clientEvents(events)) }

    @discardableResult
    mutating func answer(_ content: [JSON], stop: String = "end_turn", usage: ModelUsage = .init(input: 10, output: 5)) throws(APIError) -> [String] {
        try feed(
            .modelFinished(span: machine.state.openSpan ?? "", .success(.init(content: content, stopReason: stop, usage: usage)), previewIDs: [:]))
    }

    mutating func fail(_ error: ModelError) throws(APIError) -> [String] {
        try feed(.modelFinished(span: machine.state.openSpan ?? "", .failure(error), previewIDs: [:]))
    }

    /// What a process that starts now would make of the log.
    func refolded() throws -> SessionState {
        var state = SessionState(sessionID: "sesn_1", threadID: "sthr_1", agent: agent)
        for row in log { try state.apply(row) }
        return state
    }

    func last(_ type: String) -> JSON? {
        log.last { $0.type == type && $0.view == .processed }.flatMap { try? JSON(parsing: $0.bytes) }
    }

    /// The model request that the last input led to.
    var request: ModelRequest? {
        for case .requestModel(let request, _) in effects { return request }
        return nil
    }

    var requestMessages: [JSON] {
        guard let request else { return [] }
        return (try? JSON(parsing: [UInt8(ascii: "[")] + request.messages.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "]")]))?.array ?? []
    }

    static func text(_ text: String) -> JSON { ["type": "text", "text": .string(text)] }
    static func use(_ name: String, _ id: String, _ input: JSON = [:]) -> JSON {
        ["type": "tool_use", "id": .string(id), "name": .string(name), "input": input]
    }
    static func message(_ words: String) -> ClientEvent { .message(content: [text(words)]) }
}

final class Counter: Sendable {
    private let value = Mutex((time: Int64(1_700_000_000_000_000), id: 0))
    func time() -> Timestamp {
        value.withLock {
            $0.time += 1000
            return Timestamp(microseconds: $0.time)
        }
    }
    func id() -> String {
        value.withLock {
            $0.id += 1
            return "sevt_\($0.id)"
        }
    }
}
