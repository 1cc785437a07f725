import ManagedAgentsAPI
import PosternJSON

/// Something for a session's runner to do, and whom to tell.
struct SessionTask: Sendable {
    typealias Reply = CheckedContinuation<Result<[[UInt8]], APIError>, Never>

    enum Kind: Sendable {
        case input(SessionInput)
        case update(SessionPatch)
        case archive
        /// The time of the work item's lease is over, unless it was extended meanwhile.
        case leaseExpired
        /// The lease is taken away whatever its time: its key was revoked.
        case leaseRevoked
        /// The work item's holder, or a client, stops it. `by` names an environment key, which must hold the lease where there is one.
        case stopWork(force: Bool, by: String?, at: Timestamp)
    }

    var kind: Kind
    var reply: Reply?
}

/// Changes to a session that a client asked for; what is nil stays.
package struct SessionPatch: Sendable, Equatable {
    /// `.some(nil)` clears it.
    package var title: String??
    /// Key → string, or null to delete the key.
    package var metadata: JSONObject
    /// Resolved forms; each replaces the whole list.
    package var tools: [JSON]?
    package var mcpServers: [JSON]?

    package init(title: String?? = nil, metadata: JSONObject = [:], tools: [JSON]? = nil, mcpServers: [JSON]? = nil) {
        self.title = title
        self.metadata = metadata
        self.tools = tools
        self.mcpServers = mcpServers
    }
}

/// What a batch of tasks adds up to, on its way to one settlement.
struct PendingSettlement {
    var record: SessionRecord
    var step = SessionStep()
    var title: String??
    var metadata: JSONObject?
    var agent: JSONObject?
    var archivedAt: Timestamp?
    var work: WorkRecord?

    init(record: SessionRecord) { self.record = record }

    /// Merges a patch and says what the machine must be told.
    mutating func update(_ patch: SessionPatch) throws(APIError) -> SessionInput {
        var changedTitle: String??
        if let newTitle = patch.title, newTitle != (title ?? record.title) {
            title = newTitle
            changedTitle = newTitle
        }
        var changedMetadata: JSONObject?
        if !patch.metadata.isEmpty {
            let old = metadata ?? record.metadata
            var new = old
            new.merge(patch: patch.metadata)
            guard new.count <= 16 else { throw .invalid("metadata: at most 16 pairs are allowed; the session would have \(new.count)") }
            if new != old {
                metadata = new
                changedMetadata = new
            }
        }
        var changedAgent: JSONObject?
        if patch.tools != nil || patch.mcpServers != nil {
            var new = agent ?? record.agent
            if let tools = patch.tools { new["tools"] = .array(tools) }
            if let servers = patch.mcpServers { new["mcp_servers"] = .array(servers) }
            if new != (agent ?? record.agent) {
                agent = new
                changedAgent = new
            }
        }
        return .updated(title: changedTitle, metadata: changedMetadata, agent: changedAgent)
    }

    /// Nil when there is nothing to store.
    func settlement(state: SessionState, now: Timestamp) -> Settlement? {
        let isChanged = !step.rows.isEmpty || title != nil || metadata != nil || agent != nil || archivedAt != nil || work != nil
        guard isChanged else { return nil }
        return Settlement(
            sessionID: record.id, expectedSequence: record.lastSequence, rows: step.rows, status: state.status, usage: state.usage, updatedAt: now,
            title: title, metadata: metadata, agent: agent, archivedAt: archivedAt, work: work)
    }
}

extension SessionRecord {
    /// The record as the settlement leaves it.
    mutating func apply(_ settlement: Settlement) {
        status = settlement.status
        usage = settlement.usage
        updatedAt = settlement.updatedAt
        if let title = settlement.title { self.title = title }
        if let metadata = settlement.metadata { self.metadata = metadata }
        if let agent = settlement.agent { self.agent = agent }
        if let archivedAt = settlement.archivedAt { self.archivedAt = archivedAt }
        lastSequence = settlement.expectedSequence + settlement.rows.count
    }
}

extension SessionStep {
    mutating func add(_ other: SessionStep) {
        rows += other.rows
        effects += other.effects
        needsWorker = needsWorker || other.needsWorker
    }
}

extension StoreError {
    /// What a client is told: nothing of the store's inside.
    var apiError: APIError {
        switch self {
        case .conflict: APIError(503, .api, "The resource is being changed by others; try again.", shouldRetry: true, retryAfter: 1)
        case .duplicate(let field): .conflict("\(field): the value is taken")
        case .unavailable:
            APIError(503, .api, "The store cannot be written at the moment; nothing was changed. Try again.", shouldRetry: true, retryAfter: 1)
        case .invalid:
            APIError(
                500, .api, "The store refused the change or cannot read what it holds; nothing was changed. The server's log says why.",
                shouldRetry: false)
        }
    }
}
