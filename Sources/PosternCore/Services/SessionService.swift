import Logging
import ManagedAgentsAPI
import PosternJSON
import Synchronization

/// A session to be created, everything in it validated and resolved.
package struct SessionDraft: Sendable {
    package var workspaceID: String
    package var environmentID: String
    /// The snapshot that the session will run with.
    package var agent: JSONObject
    package var agentID: String
    package var agentVersion: Int
    package var title: String?
    package var metadata: JSONObject
    package var initialEvents: [ClientEvent]
    /// The id of the API key that asks; MCP servers are called in its name.
    package var createdBy: String?

    package init(
        workspaceID: String, environmentID: String, agent: JSONObject, agentID: String, agentVersion: Int, title: String? = nil,
        metadata: JSONObject = [:], initialEvents: [ClientEvent] = [], createdBy: String? = nil
    ) {
        self.createdBy = createdBy
        self.workspaceID = workspaceID
        self.environmentID = environmentID
        self.agent = agent
        self.agentID = agentID
        self.agentVersion = agentVersion
        self.title = title
        self.metadata = metadata
        self.initialEvents = initialEvents
    }
}

/// What the API does with sessions and their events.
package final class SessionService: Sendable {
    private let engine: SessionEngine
    private var context: EngineContext { engine.context }

    package init(engine: SessionEngine) { self.engine = engine }

    /// Creates the session, its work item and, with initial events, its first turn, in one transaction.
    package func create(_ draft: SessionDraft) async throws(APIError) -> SessionRecord {
        try PosternMetadata.check(session: draft.metadata)
        let now = context.source.now()
        var record = SessionRecord(
            id: ResourceID.make(.session), workspaceID: draft.workspaceID, environmentID: draft.environmentID, agentID: draft.agentID,
            agentVersion: draft.agentVersion, threadID: ResourceID.make(.thread), title: draft.title, metadata: draft.metadata, agent: draft.agent,
            createdBy: draft.createdBy, createdAt: now, updatedAt: now)
        var machine = SessionMachine(
            state: SessionState(sessionID: record.id, threadID: record.threadID, agent: record.agent), limits: context.limits, source: context.source)
        if !draft.initialEvents.isEmpty {
            machine.model = await context.limits(of: machine.state.modelID)
            try machine.handle(.clientEvents(draft.initialEvents))
        }
        let step = machine.takeStep()
        record.status = machine.state.status
        record.lastSequence = machine.state.lastSequence
        let work = WorkRecord(
            sessionID: record.id, environmentID: record.environmentID, workspaceID: record.workspaceID, createdAt: now, queuedAt: now)
        do {
            try await context.store.create(record, rows: step.rows, work: work)
        } catch {
            throw error.apiError
        }
        let runner = SessionRunner(record: record, machine: machine, engine: context)
        engine.adopt(runner)
        context.signal.notify(record.environmentID)
        await runner.begin(step)
        return record
    }

    package func session(_ id: String, workspaceID: String) async throws(APIError) -> SessionRecord {
        guard let record = try await load(id), record.workspaceID == workspaceID else { throw .notFound("Session \(id) not found.") }
        return record
    }

    package func sessions(
        _ filter: SessionFilter, order: SortOrder, from position: PagePosition?, limit: Int
    ) async throws(APIError) -> Page<SessionRecord> {
        do {
            return try await context.store.sessions(filter, order: order, from: position, limit: limit)
        } catch {
            throw error.apiError
        }
    }

    package func update(_ id: String, workspaceID: String, _ patch: SessionPatch) async throws(APIError) -> SessionRecord {
        _ = try await session(id, workspaceID: workspaceID)
        try PosternMetadata.check(session: patch.metadata)
        _ = try await engine.runner(id).submit(.update(patch)).get()
        return try await session(id, workspaceID: workspaceID)
    }

    package func archive(_ id: String, workspaceID: String) async throws(APIError) -> SessionRecord {
        _ = try await session(id, workspaceID: workspaceID)
        _ = try await engine.runner(id).submit(.archive).get()
        return try await session(id, workspaceID: workspaceID)
    }

    /// Deletes the session and its log, and ends its streams.
    package func delete(_ id: String, workspaceID: String) async throws(APIError) {
        let record = try await session(id, workspaceID: workspaceID)
        guard record.status != .running, record.status != .rescheduling else {
            throw .invalid("Cannot delete session while it is running. Send an interrupt event or wait for the session to complete.")
        }
        let wasThere: Bool
        do {
            wasThere = try await context.store.deleteSession(id)
            context.forgetWork(id)
        } catch {
            throw error.apiError
        }
        guard wasThere else { throw .notFound("Session \(id) not found.") }
        let runner = engine.loadedRunner(id)
        engine.forget(id)
        // Something may have come between the look at the status and here.
        await runner?.shutDown()
        await context.servers.end(session: id)
        context.leases.forget(id)
        let event: JSON = [
            "id": .string(ResourceID.make(.event)), "type": "session.deleted", "processed_at": .string(context.source.now().description),
        ]
        context.hub.end(session: id, with: .preview(type: "session.deleted", bytes: event.encoded))
    }

    /// Appends a client's or a worker's events, all or none, and returns them as stored.
    package func send(_ events: [ClientEvent], to id: String, by principal: Principal) async throws(APIError) -> [[UInt8]] {
        switch principal {
        case .apiKey(let key):
            let record = try await session(id, workspaceID: key.workspaceID)
            if events.contains(where: { if case .systemMessage = $0 { true } else { false } }) { try await checkSystemMessages(record) }
        case .environmentKey, .sessionsToken:
            for event in events {
                switch event {
                case .toolResult, .customToolResult: continue
                default: throw .forbidden("A worker's credential may only post user.tool_result and user.custom_tool_result, not \(event.type).")
                }
            }
        }
        return try await engine.runner(id).submit(.input(.clientEvents(events))).get()
    }

    /// Stored, such a message would be refused with every later request.
    private func checkSystemMessages(_ record: SessionRecord) async throws(APIError) {
        let model = SessionState(sessionID: record.id, threadID: record.threadID, agent: record.agent).modelID
        guard await context.refusesSystemMessages(model) else { return }
        throw .invalid(
            "`system.message` events are not supported on model \(model); say it in a user.message, or in the agent's system prompt",
            details: ["error_code": "model_does_not_support_mid_conversation_system"])
    }

    package func events(
        _ id: String, filter: EventFilter, order: SortOrder, from position: PagePosition?, limit: Int, by principal: Principal
    ) async throws(APIError) -> Page<EventRow> {
        let page: Page<EventRow>
        do {
            page = try await context.store.events(session: id, filter: filter, order: order, from: position, limit: limit)
        } catch {
            throw error.apiError
        }
        if !principal.isClient, let last = page.elements.map(\.sequence).max() {
            markDelivered(id, last)
            // After the mark: a lease that ended in between has not counted these calls as handed out.
            guard try await context.holdsLease(id, principal) else {
                throw .forbidden("A worker's credential opens only the session whose lease it holds.")
            }
        }
        return page
    }

    /// Opens a stream: from after `sequence`, or from now on.
    package func subscribe(
        _ id: String, after sequence: Int?, previews: Set<String>, by principal: Principal
    ) async throws(APIError) -> EventSubscription {
        guard let record = try await load(id) else { throw .notFound("Session \(id) not found.") }
        let store = context.store
        let isWorker = !principal.isClient
        let subscription = EventSubscription(
            after: min(sequence ?? record.lastSequence, record.lastSequence), previews: previews, isWorker: isWorker,
            read: { (after, limit) async throws(StoreError) in try await store.rows(session: id, after: after, limit: limit) },
            delivered: { [weak self] sequence in if isWorker { self?.markDelivered(id, sequence) } })
        context.hub.add(subscription, session: id)
        return subscription
    }

    /// Notes that a worker has been handed the log up to there: from then on its calls may have been run.
    private func markDelivered(_ id: String, _ sequence: Int) {
        engine.loadedRunner(id)?.deliveredSequence.max(sequence, ordering: .relaxed)
    }

    private func load(_ id: String) async throws(APIError) -> SessionRecord? {
        do {
            return try await context.store.session(id)
        } catch {
            throw error.apiError
        }
    }
}
