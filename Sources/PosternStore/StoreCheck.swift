import PosternCore

/// Something in the database that must not be.
package struct StoreFinding: Sendable, Equatable, CustomStringConvertible {
    /// The rule that does not hold.
    package var rule: String
    /// Where: a session's id, a table's row, or the database's own words.
    package var place: String

    package var description: String { "\(rule): \(place)" }
}

extension PosternStore {
    /// Every rule is a statement whose rows are the places that break it, at most `findingLimit` each.
    private static let rules: [(rule: String, sql: String)] = [
        (
            "the log of a session has a gap",
            "SELECT session_id FROM events GROUP BY session_id HAVING MIN(sequence) <> 1 OR MAX(sequence) <> COUNT(*)"
        ),
        (
            "a session's last sequence is not that of its last row",
            """
            SELECT s.id FROM sessions s
            WHERE s.last_sequence <> COALESCE((SELECT MAX(e.sequence) FROM events e WHERE e.session_id = s.id), 0)
            """
        ),
        (
            "an event is processed twice",
            "SELECT session_id || ' ' || event_id FROM events WHERE view = 'processed' GROUP BY session_id, event_id HAVING COUNT(*) > 1"
        ),
        (
            "events without a session",
            "SELECT DISTINCT e.session_id FROM events e WHERE NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = e.session_id)"
        ),
        (
            "a waiting event without its received row",
            """
            SELECT w.session_id || ' ' || w.event_id FROM waiting_events w WHERE NOT EXISTS (
                SELECT 1 FROM events e WHERE e.session_id = w.session_id AND e.sequence = w.sequence AND e.event_id = w.event_id
                    AND e.view = 'received')
            """
        ),
        (
            "an event waits that is processed",
            """
            SELECT w.session_id || ' ' || w.event_id FROM waiting_events w WHERE EXISTS (
                SELECT 1 FROM events e WHERE e.session_id = w.session_id AND e.event_id = w.event_id AND e.view = 'processed')
            """
        ),
        (
            "a received event neither waits nor is processed",
            """
            SELECT r.session_id || ' ' || r.event_id FROM events r WHERE r.view = 'received'
                AND NOT EXISTS (SELECT 1 FROM waiting_events w WHERE w.session_id = r.session_id AND w.event_id = r.event_id)
                AND r.event_id NOT IN (SELECT e.event_id FROM events e WHERE e.session_id = r.session_id AND e.view = 'processed')
            """
        ),
        (
            "a session without its documents",
            "SELECT s.id FROM sessions s WHERE NOT EXISTS (SELECT 1 FROM session_documents d WHERE d.session_id = s.id)"
        ),
        (
            "a session without its work item",
            "SELECT s.id FROM sessions s WHERE NOT EXISTS (SELECT 1 FROM work_items w WHERE w.session_id = s.id)"
        ),
        (
            "a work item without its session",
            "SELECT w.session_id FROM work_items w WHERE NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = w.session_id)"
        ),
        (
            "an agent without its newest version",
            """
            SELECT a.id FROM agents a
            WHERE NOT EXISTS (SELECT 1 FROM agent_versions v WHERE v.agent_id = a.id AND v.version = a.version)
            """
        ),
        (
            "a tunnel without its token",
            "SELECT t.id FROM tunnels t WHERE NOT EXISTS (SELECT 1 FROM tunnel_tokens k WHERE k.id = t.token_id AND k.tunnel_id = t.id)"
        ),
        (
            "a tunnel whose token is rotated",
            "SELECT t.id FROM tunnels t WHERE EXISTS (SELECT 1 FROM tunnel_tokens k WHERE k.id = t.token_id AND k.rotated_at IS NOT NULL)"
        ),
        (
            "a log of registrations with a gap",
            """
            SELECT tunnel_id FROM tunnel_registrations GROUP BY tunnel_id HAVING COUNT(*) <> MAX(position) + 1
            """
        ),
        (
            "an archived tunnel with a certificate or key that is not",
            """
            SELECT t.id FROM tunnels t WHERE t.archived_at IS NOT NULL AND (
                EXISTS (SELECT 1 FROM tunnel_certificates c WHERE c.tunnel_id = t.id AND c.archived_at IS NULL)
                OR EXISTS (SELECT 1 FROM connector_keys k WHERE k.tunnel_id = t.id AND k.revoked_at IS NULL))
            """
        ),
        ("an unknown session status", "SELECT id FROM sessions WHERE status NOT IN ('idle', 'running', 'rescheduling', 'terminated')"),
        (
            "an unknown view of an event",
            "SELECT session_id || ' ' || event_id FROM events WHERE view NOT IN ('received', 'processed', 'hidden')"
        ),
    ]

    private static let findingLimit = 100

    /// Looks at the whole database: the file's structure, references between tables, and the rules of the log. Reads everything, so it
    /// takes as long as that; a running server goes on meanwhile. Empty when all is well.
    package func check() async throws(StoreError) -> [StoreFinding] {
        var findings: [StoreFinding] = []
        for (rule, sql) in database.dialect.integrityChecks {
            for place in try await places(SQLStatement(sql)) where place != "ok" { findings.append(StoreFinding(rule: rule, place: place)) }
        }
        for (rule, sql) in Self.rules {
            for place in try await places(SQLStatement(sql + " LIMIT ?", [SQLValue(Self.findingLimit)])) {
                findings.append(StoreFinding(rule: rule, place: place))
            }
        }
        return findings
    }

    private func places(_ statement: SQLStatement) async throws(StoreError) -> [String] {
        do throws(SQLFailure) {
            return try await database.rows(statement).map { row in
                row.values.map { value in
                    switch value {
                    case .null: "null"
                    case .integer(let integer): String(integer)
                    case .text(let text): text
                    case .blob(let bytes): "\(bytes.count) bytes"
                    }
                }.joined(separator: " ")
            }
        } catch {
            throw error.storeError
        }
    }
}
