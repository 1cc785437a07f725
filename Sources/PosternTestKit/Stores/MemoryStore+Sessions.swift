import ManagedAgentsAPI
import PosternCore

extension MemoryStore: SessionStore {
    package func create(_ session: SessionRecord, rows: [EventRow], work: WorkRecord) async throws(StoreError) {
        try with { state throws(StoreError) in
            guard state.sessions[session.id] == nil, state.work[work.sessionID] == nil, session.lastSequence == rows.count,
                rows.map(\.sequence) == Array(0..<rows.count).map({ $0 + 1 })
            else { throw .conflict }
            state.sessions[session.id] = Session(record: session, rows: rows)
            state.work[work.sessionID] = work
        }
    }

    package func session(_ id: String) async throws(StoreError) -> SessionRecord? {
        try with { state throws(StoreError) in state.sessions[id]?.record }
    }

    package func sessions(
        _ filter: SessionFilter, order: SortOrder, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<SessionRecord> {
        try with { state throws(StoreError) in
            let found = state.sessions.values.map(\.record).filter { session in
                guard session.workspaceID == filter.workspaceID, filter.createdAt.contains(session.createdAt) else { return false }
                if let agent = filter.agentID {
                    guard session.agentID == agent, filter.agentVersion.map({ $0 == session.agentVersion }) ?? true else { return false }
                }
                if !filter.statuses.isEmpty, !filter.statuses.contains(session.status) { return false }
                if filter.includeArchived { return true }
                return session.archivedAt == nil && (!filter.statuses.isEmpty || session.status != .terminated)
            }
            return Self.pageByTime(found, order: order, from: from, limit: limit) { ($0.createdAt, $0.id) }
        }
    }

    package func settle(_ settlement: Settlement) async throws(StoreError) {
        try with { state throws(StoreError) in
            if let error = state.refusal?(settlement) { throw error }
            guard state.sessions[settlement.sessionID]?.record.lastSequence == settlement.expectedSequence,
                settlement.rows.map(\.sequence) == settlement.rows.indices.map({ settlement.expectedSequence + 1 + $0 })
            else { throw .conflict }
            if let work = settlement.work { try Self.update(work, in: &state) }
            state.sessions[settlement.sessionID]?.apply(settlement)
        }
    }

    package func deleteSession(_ id: String) async throws(StoreError) -> Bool {
        try with { state throws(StoreError) in
            state.work[id] = nil
            return state.sessions.removeValue(forKey: id) != nil
        }
    }

    package func rows(session: String, after sequence: Int, limit: ReadLimit) async throws(StoreError) -> [EventRow] {
        try with { state throws(StoreError) in
            limit.prefix(of: (state.sessions[session]?.rows ?? []).drop { $0.sequence <= sequence })
        }
    }

    package func events(
        session: String, filter: EventFilter, order: SortOrder, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<EventRow> {
        try with { state throws(StoreError) in
            let rows = state.sessions[session]?.rows ?? []
            let processed = rows.filter { $0.view == .processed }
            let done = Set(processed.map(\.eventID))
            let waiting = rows.filter { $0.view == .received && !done.contains($0.eventID) }
            var list = (processed + waiting).filter { row in
                guard filter.types.isEmpty || filter.types.contains(row.type) else { return false }
                guard filter.processedAt != TimeRange() else { return true }
                return row.view == .processed && (row.processedAt.map(filter.processedAt.contains) ?? false)
            }
            if order == .descending { list.reverse() }
            let position = { (row: EventRow) in PagePosition(major: row.view == .processed ? 0 : 1, minor: String(row.sequence)) }
            return Self.page(list, from: from, limit: limit, size: \.bytes.count, position: position) { left, right in
                let (first, second) = ((left.major, Int(left.minor) ?? 0), (right.major, Int(right.minor) ?? 0))
                return order == .ascending ? first < second : first > second
            }
        }
    }

    package func unfinishedSessions() async throws(StoreError) -> [String] {
        try with { state throws(StoreError) in
            state.sessions.values.map(\.record).filter { $0.status == .running || $0.status == .rescheduling }.map(\.id).sorted()
        }
    }
}
