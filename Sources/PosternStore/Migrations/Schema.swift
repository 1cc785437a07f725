/// The schema's history. A migration that was released is never edited (its checksum is in the databases that ran it): add another.
enum Schema {
    static let migrations: [Migration] = [
        Migration(
            version: 1, name: "first tables",
            statements: [
                "CREATE TABLE workspaces (id {key} NOT NULL PRIMARY KEY, name TEXT NOT NULL, created_at BIGINT NOT NULL)",

                // `version` is the newest; the bodies are in agent_versions.
                """
                CREATE TABLE agents (
                    id {key} NOT NULL PRIMARY KEY, workspace_id {key} NOT NULL, version BIGINT NOT NULL,
                    created_at BIGINT NOT NULL, archived_at BIGINT)
                """,
                "CREATE INDEX agents_by_time ON agents (workspace_id, created_at, id)",
                """
                CREATE TABLE agent_versions (
                    agent_id {key} NOT NULL REFERENCES agents (id), version BIGINT NOT NULL, body TEXT NOT NULL,
                    created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
                    PRIMARY KEY (agent_id, version))
                """,

                """
                CREATE TABLE environments (
                    id {key} NOT NULL PRIMARY KEY, workspace_id {key} NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
                    created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, archived_at BIGINT)
                """,
                "CREATE INDEX environments_by_time ON environments (workspace_id, created_at, id)",
                "CREATE UNIQUE INDEX environments_name ON environments (workspace_id, name) WHERE archived_at IS NULL",

                """
                CREATE TABLE api_keys (
                    id {key} NOT NULL PRIMARY KEY, kind TEXT NOT NULL, workspace_id {key} NOT NULL, role TEXT, environment_id {key},
                    name TEXT NOT NULL, hash {blob} NOT NULL, hint TEXT NOT NULL,
                    created_at BIGINT NOT NULL, expires_at BIGINT, revoked_at BIGINT)
                """,
                "CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash)",
                "CREATE INDEX api_keys_by_time ON api_keys (workspace_id, kind, created_at, id)",
                "CREATE INDEX api_keys_of_environment ON api_keys (environment_id) WHERE environment_id IS NOT NULL",

                // What every settlement writes is here and small; what is large and seldom changes is in session_documents.
                """
                CREATE TABLE sessions (
                    id {key} NOT NULL PRIMARY KEY, last_sequence BIGINT NOT NULL, status TEXT NOT NULL, updated_at BIGINT NOT NULL,
                    input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cache_read_tokens BIGINT NOT NULL,
                    cache_5m_tokens BIGINT NOT NULL, cache_1h_tokens BIGINT NOT NULL, active_microseconds BIGINT NOT NULL,
                    workspace_id {key} NOT NULL, environment_id {key} NOT NULL, agent_id {key} NOT NULL, agent_version BIGINT NOT NULL,
                    thread_id {key} NOT NULL, title TEXT, created_at BIGINT NOT NULL, archived_at BIGINT) {clustered}
                """,
                "CREATE INDEX sessions_by_time ON sessions (workspace_id, created_at, id)",
                "CREATE INDEX sessions_by_agent ON sessions (workspace_id, agent_id, created_at, id)",
                "CREATE INDEX sessions_of_environment ON sessions (environment_id) WHERE archived_at IS NULL",
                "CREATE INDEX sessions_unfinished ON sessions (id) WHERE status IN ('running', 'rescheduling')",
                """
                CREATE TABLE session_documents (
                    session_id {key} NOT NULL PRIMARY KEY REFERENCES sessions (id), agent TEXT NOT NULL, metadata TEXT NOT NULL,
                    vault_ids TEXT NOT NULL)
                """,

                // The log. Rows are only ever added, and leave with their session. `bytes` is last: filters need not read past it.
                """
                CREATE TABLE events (
                    session_id {key} NOT NULL, sequence BIGINT NOT NULL, event_id {key} NOT NULL, view TEXT NOT NULL, type TEXT NOT NULL,
                    processed_at BIGINT, bytes {blob} NOT NULL,
                    PRIMARY KEY (session_id, sequence)) {clustered}
                """,
                // Received rows that no processed row has superseded yet.
                """
                CREATE TABLE waiting_events (
                    session_id {key} NOT NULL, event_id {key} NOT NULL, sequence BIGINT NOT NULL,
                    PRIMARY KEY (session_id, event_id)) {clustered}
                """,

                """
                CREATE TABLE work_items (
                    session_id {key} NOT NULL PRIMARY KEY REFERENCES sessions (id), environment_id {key} NOT NULL, workspace_id {key} NOT NULL,
                    state TEXT NOT NULL, metadata TEXT NOT NULL, created_at BIGINT NOT NULL, queued_at BIGINT NOT NULL, polled_at BIGINT,
                    acknowledged_at BIGINT, stop_requested_at BIGINT, stopped_at BIGINT, heartbeat_at BIGINT, lease_expires_at BIGINT,
                    lease_seconds BIGINT NOT NULL, token_hash {blob}, worker_id TEXT, key_id {key}, revision BIGINT NOT NULL)
                """,
                "CREATE INDEX work_items_by_time ON work_items (environment_id, created_at, session_id)",
                "CREATE INDEX work_items_queued ON work_items (environment_id, polled_at, queued_at, session_id) WHERE state = 'queued'",
                """
                CREATE INDEX work_items_queued_of_worker ON work_items (environment_id, worker_id, polled_at, queued_at, session_id)
                    WHERE state = 'queued' AND worker_id IS NOT NULL
                """,
                "CREATE UNIQUE INDEX work_items_token ON work_items (token_hash) WHERE token_hash IS NOT NULL",
                "CREATE INDEX work_items_leased ON work_items (lease_expires_at) WHERE lease_expires_at IS NOT NULL",
                "CREATE INDEX work_items_of_key ON work_items (key_id) WHERE lease_expires_at IS NOT NULL",
            ]),
        Migration(
            version: 2, name: "tunnels",
            statements: [
                // Never deleted: a domain is one tunnel's for ever.
                """
                CREATE TABLE tunnels (
                    id {key} NOT NULL PRIMARY KEY, workspace_id {key} NOT NULL, display_name TEXT, domain {key} NOT NULL, token_id {key} NOT NULL,
                    splice BIGINT NOT NULL, created_at BIGINT NOT NULL, archived_at BIGINT)
                """,
                "CREATE UNIQUE INDEX tunnels_domain ON tunnels (domain)",
                "CREATE INDEX tunnels_by_time ON tunnels (workspace_id, created_at, id)",
                "CREATE INDEX tunnels_live ON tunnels (workspace_id, id) WHERE archived_at IS NULL",
                // Ids of tokens, present and past; the tokens themselves are nowhere.
                """
                CREATE TABLE tunnel_tokens (
                    id {key} NOT NULL PRIMARY KEY, tunnel_id {key} NOT NULL REFERENCES tunnels (id), created_at BIGINT NOT NULL,
                    rotated_at BIGINT, reason TEXT)
                """,
                """
                CREATE TABLE tunnel_certificates (
                    id {key} NOT NULL PRIMARY KEY, tunnel_id {key} NOT NULL REFERENCES tunnels (id), fingerprint TEXT NOT NULL, pem TEXT NOT NULL,
                    created_at BIGINT NOT NULL, expires_at BIGINT, archived_at BIGINT)
                """,
                "CREATE INDEX tunnel_certificates_by_time ON tunnel_certificates (tunnel_id, created_at, id)",
                "CREATE UNIQUE INDEX tunnel_certificates_live ON tunnel_certificates (tunnel_id, fingerprint) WHERE archived_at IS NULL",
                """
                CREATE TABLE connector_keys (
                    fingerprint {key} NOT NULL, tunnel_id {key} NOT NULL REFERENCES tunnels (id), token_id {key} NOT NULL,
                    enrolled_at BIGINT NOT NULL, revoked_at BIGINT,
                    PRIMARY KEY (tunnel_id, fingerprint))
                """,
                "CREATE UNIQUE INDEX connector_keys_live ON connector_keys (fingerprint) WHERE revoked_at IS NULL",
                // The key of each is sealed with one that is not in the database.
                """
                CREATE TABLE runtime_authorities (
                    workspace_id {key} NOT NULL PRIMARY KEY, certificate TEXT NOT NULL, sealed_key {blob} NOT NULL, created_at BIGINT NOT NULL)
                """,
                // One row: what edges have seen of tunnels is told by its number.
                "CREATE TABLE tunnel_revision (id BIGINT NOT NULL PRIMARY KEY, value BIGINT NOT NULL)",
                "INSERT INTO tunnel_revision (id, value) VALUES (1, 0)",
            ]),
        Migration(
            version: 3, name: "registrations of tunnels",
            statements: [
                // Append-only. What is registered in tunnels that are older than this is in their first entry, which is written before any other.
                """
                CREATE TABLE tunnel_registrations (
                    tunnel_id {key} NOT NULL REFERENCES tunnels (id), position BIGINT NOT NULL, entry {blob} NOT NULL,
                    PRIMARY KEY (tunnel_id, position)) {clustered}
                """
            ]),
        // In whose name a session calls MCP servers.
        Migration(version: 4, name: "who made a session", statements: ["ALTER TABLE sessions ADD COLUMN created_by TEXT"]),
        // Off for tunnels that are older than this: their connectors may lack the key.
        Migration(
            version: 5, name: "tunnels hide routes", statements: ["ALTER TABLE tunnels ADD COLUMN hide_routes BIGINT NOT NULL DEFAULT 0"]),
    ]
}
