import ManagedAgentsAPI
import PosternCore
import PosternJSON

// Records as the API answers them.

extension AgentRecord {
    var json: JSON {
        var object = body
        object["archived_at"] = JSON(archivedAt?.description)
        return .object(object)
    }
}

extension EnvironmentRecord {
    var json: JSON {
        var object = body
        object["archived_at"] = JSON(archivedAt?.description)
        return .object(object)
    }
}

extension KeyRecord {
    /// Without the secret, which nobody has.
    var json: JSONObject {
        [
            "id": .string(id), "type": kind == .api ? "api_key" : "environment_key", "name": .string(name), "role": JSON(role?.rawValue),
            "workspace_id": .string(workspaceID), "environment_id": JSON(environmentID), "hint": .string(hint),
            "created_at": .string(createdAt.description), "expires_at": JSON(expiresAt?.description), "revoked_at": JSON(revokedAt?.description),
        ]
    }
}

extension WorkspaceRecord {
    var json: JSON {
        ["id": .string(id), "type": "workspace", "name": .string(name), "created_at": .string(createdAt.description)]
    }
}

extension WorkRecord {
    /// The 14 members that the reference shows (observed behaviours, "work item").
    func json(secret: String? = nil) -> JSON {
        [
            "id": .string(sessionID), "type": "work", "environment_id": .string(environmentID),
            "data": ["type": "session", "id": .string(sessionID)],
            "state": .string(state.rawValue), "metadata": .object(metadata), "secret": JSON(secret), "actor": .null,
            "created_at": .string(createdAt.description), "acknowledged_at": JSON(acknowledgedAt?.description),
            "latest_heartbeat_at": JSON(heartbeatAt?.description), "started_at": .string(queuedAt.description),
            "stop_requested_at": JSON(stopRequestedAt?.description), "stopped_at": JSON(stoppedAt?.description),
        ]
    }

    /// What a poll's `secret` holds: URL-safe base64 of an object (contract section 5.4).
    static func secret(sessionsToken: String) -> String {
        Base64URL.encode(JSON.object(["sessions_token": .string(sessionsToken)]).encoded)
    }
}

extension Heartbeat {
    var json: JSON {
        [
            "type": "work_heartbeat", "last_heartbeat": .string(lastHeartbeat), "state": .string(state.rawValue),
            "lease_extended": .bool(leaseExtended),
            "ttl_seconds": JSON(ttlSeconds),
        ]
    }
}
