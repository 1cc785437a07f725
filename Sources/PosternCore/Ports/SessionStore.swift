import ManagedAgentsAPI
import PosternJSON

/// What is stored of a session beside its events. The log is the truth; `status` and `usage` here are its fold, written in the same
/// transaction as the events, so that lists and guards need not fold.
package struct SessionRecord: Sendable, Equatable {
    package enum Status: String, Sendable, CaseIterable { case idle, running, rescheduling, terminated }

    package var id: String
    package var workspaceID: String
    package var environmentID: String
    /// The base agent, for filters.
    package var agentID: String
    package var agentVersion: Int
    package var threadID: String
    package var status: Status
    package var title: String?
    package var metadata: JSONObject
    /// The full snapshot that the session runs with (contract section 2.4).
    package var agent: JSONObject
    package var vaultIDs: [String]
    package var usage: SessionUsage
    /// The id of the API key that made it; nil for sessions that are older than this field.
    package var createdBy: String?
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    package var archivedAt: Timestamp?
    /// The `seq` of the last row; 0 for none. Guards every settlement.
    package var lastSequence: Int

    package init(
        id: String, workspaceID: String, environmentID: String, agentID: String, agentVersion: Int, threadID: String, status: Status = .idle,
        title: String? = nil, metadata: JSONObject = [:], agent: JSONObject, vaultIDs: [String] = [], usage: SessionUsage = .init(),
        createdBy: String? = nil, createdAt: Timestamp, updatedAt: Timestamp, archivedAt: Timestamp? = nil, lastSequence: Int = 0
    ) {
        self.id = id
        self.workspaceID = workspaceID
        self.environmentID = environmentID
        self.agentID = agentID
        self.agentVersion = agentVersion
        self.threadID = threadID
        self.status = status
        self.title = title
        self.metadata = metadata
        self.agent = agent
        self.vaultIDs = vaultIDs
        self.usage = usage
        self.createdBy = createdBy
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.archivedAt = archivedAt
        self.lastSequence = lastSequence
    }
}

/// Sums over a session's life.
package struct SessionUsage: Sendable, Equatable {
    package var tokens = ModelUsage()
    /// Time spent in `running`.
    package var activeMicroseconds: Int64 = 0

    package init(tokens: ModelUsage = .init(), activeMicroseconds: Int64 = 0) {
        self.tokens = tokens
        self.activeMicroseconds = activeMicroseconds
    }
}

/// One row of a session's log.
package struct EventRow: Sendable, Equatable {
    package enum View: String, Sendable {
        /// A client's event as it arrived, `processed_at` null; superseded by the processed row of the same event id.
        case received
        /// What lists and streams show.
        case processed
        /// For the engine only, such as a model's raw answer; never listed nor streamed.
        case hidden
    }

    /// Position in the session's log, from 1, without gaps. The `id:` of its SSE frame.
    package var sequence: Int
    package var eventID: String
    package var view: View
    package var type: String
    package var processedAt: Timestamp?
    /// The event's JSON, encoded once; stored, listed and streamed as it is.
    package var bytes: [UInt8]

    package init(sequence: Int, eventID: String, view: View, type: String, processedAt: Timestamp?, bytes: [UInt8]) {
        self.sequence = sequence
        self.eventID = eventID
        self.view = view
        self.type = type
        self.processedAt = processedAt
        self.bytes = bytes
    }
}

/// Everything that one step of a session changes, applied in ONE transaction or not at all.
package struct Settlement: Sendable, Equatable {
    package var sessionID: String
    /// The log's length that the step was decided on. A different one in the store refuses the settlement.
    package var expectedSequence: Int
    /// New rows; their sequences follow `expectedSequence` without gaps.
    package var rows: [EventRow]
    package var status: SessionRecord.Status
    package var usage: SessionUsage
    package var updatedAt: Timestamp
    /// Set where the step changes them.
    package var title: String??
    package var metadata: JSONObject?
    package var agent: JSONObject?
    package var archivedAt: Timestamp?
    /// The work item's new state, guarded by its revision.
    package var work: WorkRecord?

    package init(
        sessionID: String, expectedSequence: Int, rows: [EventRow] = [], status: SessionRecord.Status, usage: SessionUsage, updatedAt: Timestamp,
        title: String?? = nil, metadata: JSONObject? = nil, agent: JSONObject? = nil, archivedAt: Timestamp? = nil, work: WorkRecord? = nil
    ) {
        self.sessionID = sessionID
        self.expectedSequence = expectedSequence
        self.rows = rows
        self.status = status
        self.usage = usage
        self.updatedAt = updatedAt
        self.title = title
        self.metadata = metadata
        self.agent = agent
        self.archivedAt = archivedAt
        self.work = work
    }
}

package struct SessionFilter: Sendable, Equatable {
    package var workspaceID: String
    package var agentID: String?
    /// Counts only beside `agentID`.
    package var agentVersion: Int?
    /// Empty for every status. Terminated sessions are hidden unless named here or `includeArchived` is set.
    package var statuses: Set<SessionRecord.Status> = []
    package var includeArchived = false
    package var createdAt = TimeRange()

    package init(workspaceID: String) { self.workspaceID = workspaceID }
}

/// Bounds of a time filter: `[gt]`, `[gte]`, `[lt]`, `[lte]`.
package struct TimeRange: Sendable, Equatable {
    package var after: Timestamp?
    package var atOrAfter: Timestamp?
    package var before: Timestamp?
    package var atOrBefore: Timestamp?
    package init(after: Timestamp? = nil, atOrAfter: Timestamp? = nil, before: Timestamp? = nil, atOrBefore: Timestamp? = nil) {
        self.after = after
        self.atOrAfter = atOrAfter
        self.before = before
        self.atOrBefore = atOrBefore
    }
}

package struct EventFilter: Sendable, Equatable {
    /// Empty for every type.
    package var types: Set<String> = []
    /// Compared with `processed_at`; an event that is not processed fails every bound.
    package var processedAt = TimeRange()
    package init(types: Set<String> = [], processedAt: TimeRange = .init()) {
        self.types = types
        self.processedAt = processedAt
    }
}

package enum SortOrder: String, Sendable { case ascending = "asc", descending = "desc" }

/// One page of a list. A list is keyset-paged: `next` and `previous` are positions, encoded by the caller into opaque cursors.
package struct Page<Element: Sendable>: Sendable {
    package var elements: [Element]
    package var next: PagePosition?
    package var previous: PagePosition?
    package init(elements: [Element], next: PagePosition? = nil, previous: PagePosition? = nil) {
        self.elements = elements
        self.next = next
        self.previous = previous
    }
}

/// A place between two elements of a list: the sort key of the last element seen.
package struct PagePosition: Sendable, Equatable {
    /// For lists by time: the microseconds. For events: 0 processed, 1 still waiting.
    package var major: Int64
    /// Breaks ties: an id, or for events the sequence.
    package var minor: String
    /// True for a position that pages towards the start of the list.
    package var isBackward: Bool
    package init(major: Int64, minor: String, isBackward: Bool = false) {
        self.major = major
        self.minor = minor
        self.isBackward = isBackward
    }
}

package enum StoreError: Error, Sendable, Equatable {
    /// A guard did not hold: somebody else wrote first. Load again and decide again.
    case conflict
    /// A unique value is taken; names the field.
    case duplicate(String)
    /// The disk is full or the database cannot be written: it may be possible later. The message is for the operator's log.
    case unavailable(String)
    /// The store does not take what it was given, or holds what cannot be read: trying again does not help. The message is for the operator's log.
    case invalid(String)
}

/// Sessions and their logs. Every method is one transaction.
package protocol SessionStore: Sendable {
    /// Stores a new session, its first rows and its work item. `.conflict` if the id exists.
    func create(_ session: SessionRecord, rows: [EventRow], work: WorkRecord) async throws(StoreError)
    func session(_ id: String) async throws(StoreError) -> SessionRecord?
    /// By `createdAt`, then id. `limit` elements at most.
    func sessions(_ filter: SessionFilter, order: SortOrder, from: PagePosition?, limit: Int) async throws(StoreError) -> Page<SessionRecord>
    /// `.conflict` when `expectedSequence` or the work item's revision is not the stored one; then nothing has changed.
    func settle(_ settlement: Settlement) async throws(StoreError)
    /// Removes the session, its log and its work item; false if there was none.
    func deleteSession(_ id: String) async throws(StoreError) -> Bool
    /// Rows after `sequence` in log order, every view; for folding and for resuming streams.
    func rows(session: String, after sequence: Int, limit: ReadLimit) async throws(StoreError) -> [EventRow]
    /// The newest row per event id without hidden ones: processed ones in log order, then those still waiting in log order.
    /// A page ends early, and says so by its `next`, once it holds `ReadLimit.pageBytes`.
    func events(session: String, filter: EventFilter, order: SortOrder, from: PagePosition?, limit: Int) async throws(StoreError) -> Page<EventRow>
    /// Ids of sessions whose status is `running` or `rescheduling`: what a restarted process must go on with.
    func unfinishedSessions() async throws(StoreError) -> [String]
}
