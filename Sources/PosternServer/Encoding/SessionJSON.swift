import ManagedAgentsAPI
import PosternCore
import PosternJSON

extension SessionRecord {
    var json: JSON {
        [
            "id": .string(id), "type": "session", "status": .string(status.rawValue), "agent": .object(agent),
            "environment_id": .string(environmentID),
            "title": JSON(title), "metadata": .object(metadata), "resources": [], "vault_ids": .array(vaultIDs.map(JSON.string)), "budget": .null,
            "usage": usage.json, "stats": stats, "outcome_evaluations": [], "deployment_id": .null, "created_at": .string(createdAt.description),
            "updated_at": .string(updatedAt.description), "archived_at": JSON(archivedAt?.description),
        ]
    }

    private var stats: JSON {
        ["active_seconds": .double(usage.activeSeconds), "duration_seconds": .double((updatedAt - createdAt) / .seconds(1))]
    }

    /// The one thread of a session that works alone. Before its first event it has neither figures nor usage; archiving the session does not
    /// change it.
    var primaryThread: JSON {
        let isUntouched = lastSequence == 0
        let status = self.status == .terminated && archivedAt != nil ? Status.idle : self.status
        return [
            "id": .string(threadID), "type": "session_thread", "session_id": .string(id), "parent_thread_id": .null,
            "status": .string(status.rawValue),
            "agent": .object(JSONObject(agent.filter { $0.key != "multiagent" }.map { ($0.key, $0.value) })), "workflow_run_id": .null,
            "stats": isUntouched ? .null : stats, "usage": isUntouched ? .null : usage.json, "created_at": .string(createdAt.description),
            "updated_at": .string(updatedAt.description), "archived_at": .null,
        ]
    }
}

extension SessionUsage {
    var activeSeconds: Double { Double(activeMicroseconds) / 1_000_000 }

    var json: JSON {
        [
            "input_tokens": JSON(tokens.input), "output_tokens": JSON(tokens.output), "cache_read_input_tokens": JSON(tokens.cacheRead),
            "cache_creation": [
                "ephemeral_5m_input_tokens": JSON(tokens.cacheCreation5m), "ephemeral_1h_input_tokens": JSON(tokens.cacheCreation1h),
            ],
            "server_tool_use": ["web_search_requests": 0, "web_fetch_requests": 0], "active_seconds": .double(activeSeconds),
        ]
    }
}
