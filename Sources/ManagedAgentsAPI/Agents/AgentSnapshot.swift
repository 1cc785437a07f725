import PosternJSON

/// The agent inside a session: the agent's members without metadata and times (contract section 2.4).
package enum AgentSnapshot {
    private static let left = ["metadata", "created_at", "updated_at", "archived_at"]

    package static func make(from agent: JSONObject) -> JSONObject {
        JSONObject(agent.filter { !left.contains($0.key) }.map { ($0.key, $0.value) })
    }
}
