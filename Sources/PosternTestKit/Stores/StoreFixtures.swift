import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// Records with plausible values, for tests and benchmarks of stores.
package enum StoreFixtures {
    package static func time(_ second: Int) -> Timestamp { Timestamp(microseconds: 1_790_000_000_000_000 + Int64(second) * 1_000_000) }

    package static func session(
        _ id: String, workspace: String = "wrkspc_1", environment: String = "env_1", agent: String = "agent_1", version: Int = 1,
        status: SessionRecord.Status = .idle, at second: Int = 0, rows: Int = 0
    ) -> SessionRecord {
        SessionRecord(
            id: id, workspaceID: workspace, environmentID: environment, agentID: agent, agentVersion: version, threadID: "sthr_" + id,
            status: status, title: "Title of " + id, metadata: ["team": "data"], agent: ["id": .string(agent), "name": "Reader", "tools": []],
            vaultIDs: ["vlt_1"], createdAt: time(second), updatedAt: time(second), lastSequence: rows)
    }

    package static func work(_ session: String, environment: String = "env_1", at second: Int = 0) -> WorkRecord {
        WorkRecord(
            sessionID: session, environmentID: environment, workspaceID: "wrkspc_1", metadata: ["note": "x"], createdAt: time(second),
            queuedAt: time(second))
    }

    package static func row(
        _ sequence: Int, _ event: String? = nil, view: EventRow.View = .processed, type: String = "agent.message", bytes: Int = 200
    ) -> EventRow {
        let id = event ?? "sevt_\(sequence)"
        let text = #"{"id":"\#(id)","type":"\#(type)","text":"\#(String(repeating: "x", count: bytes))"}"#
        return EventRow(
            sequence: sequence, eventID: id, view: view, type: type, processedAt: view == .processed ? time(sequence) : nil,
            bytes: Array(text.utf8))
    }

    /// A settlement that appends `rows` to a session that stays as it is.
    package static func settlement(_ session: String, after sequence: Int, _ rows: [EventRow], work: WorkRecord? = nil) -> Settlement {
        Settlement(
            sessionID: session, expectedSequence: sequence, rows: rows, status: .running,
            usage: SessionUsage(tokens: ModelUsage(input: sequence, output: 2), activeMicroseconds: 3), updatedAt: time(sequence), work: work)
    }
}
