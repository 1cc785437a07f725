import ManagedAgentsAPI
import PosternJSON

/// One session's work item. There is one per session and it has the session's id (observed behaviours, "work item"); a stopped item
/// re-enters the queue under the same id.
package struct WorkRecord: Sendable, Equatable {
    package enum State: String, Sendable { case queued, starting, active, stopping, stopped }

    package var sessionID: String
    package var environmentID: String
    package var workspaceID: String
    package var state: State
    package var metadata: JSONObject
    package var createdAt: Timestamp
    /// When it entered the queue last.
    package var queuedAt: Timestamp
    /// When it was last handed out by a poll and not yet acknowledged; nil otherwise.
    package var polledAt: Timestamp?
    package var acknowledgedAt: Timestamp?
    package var stopRequestedAt: Timestamp?
    package var stoppedAt: Timestamp?
    /// The holder's last heartbeat: its exact value is the precondition of the next one.
    package var heartbeatAt: Timestamp?
    /// End of the lease; nil while nobody holds it.
    package var leaseExpiresAt: Timestamp?
    package var leaseSeconds: Int
    /// SHA-256 of the sessions token minted by the last poll; the token is shown once and never stored.
    package var tokenHash: [UInt8]?
    /// Who polled it last; the queue prefers to give it back to the same worker, where the workspace is.
    package var workerID: String?
    /// The environment key that polled it last: revoking the key ends the lease.
    package var keyID: String?
    /// Grows by one with each write; guards it.
    package var revision: Int

    package init(
        sessionID: String, environmentID: String, workspaceID: String, state: State = .queued, metadata: JSONObject = [:], createdAt: Timestamp,
        queuedAt: Timestamp, polledAt: Timestamp? = nil, acknowledgedAt: Timestamp? = nil, stopRequestedAt: Timestamp? = nil,
        stoppedAt: Timestamp? = nil, heartbeatAt: Timestamp? = nil, leaseExpiresAt: Timestamp? = nil, leaseSeconds: Int = 0,
        tokenHash: [UInt8]? = nil, workerID: String? = nil, keyID: String? = nil, revision: Int = 0
    ) {
        self.sessionID = sessionID
        self.environmentID = environmentID
        self.workspaceID = workspaceID
        self.state = state
        self.metadata = metadata
        self.createdAt = createdAt
        self.queuedAt = queuedAt
        self.polledAt = polledAt
        self.acknowledgedAt = acknowledgedAt
        self.stopRequestedAt = stopRequestedAt
        self.stoppedAt = stoppedAt
        self.heartbeatAt = heartbeatAt
        self.leaseExpiresAt = leaseExpiresAt
        self.leaseSeconds = leaseSeconds
        self.tokenHash = tokenHash
        self.workerID = workerID
        self.keyID = keyID
        self.revision = revision
    }
}

package struct WorkStatistics: Sendable, Equatable {
    /// Waiting, not handed out.
    package var depth: Int
    /// Handed out, not acknowledged.
    package var pending: Int
    package var oldestQueuedAt: Timestamp?
    package init(depth: Int, pending: Int, oldestQueuedAt: Timestamp?) {
        self.depth = depth
        self.pending = pending
        self.oldestQueuedAt = oldestQueuedAt
    }
}

package protocol WorkStore: Sendable {
    func work(_ sessionID: String) async throws(StoreError) -> WorkRecord?
    /// The item with that sessions token; a look-up by hash, so no comparison leaks time.
    func work(tokenHash: [UInt8]) async throws(StoreError) -> WorkRecord?
    /// The oldest item in state `queued` of the environment that is not handed out, or was handed out before `reclaimBefore`; one whose
    /// `workerID` is the caller's comes first. Only looks.
    func nextQueued(environmentID: String, workerID: String?, reclaimBefore: Timestamp) async throws(StoreError) -> WorkRecord?
    /// Writes the record if the stored revision is `record.revision - 1`; `.conflict` otherwise.
    func update(_ record: WorkRecord) async throws(StoreError)
    /// By `createdAt`, newest first.
    func workItems(environmentID: String, from: PagePosition?, limit: Int) async throws(StoreError) -> Page<WorkRecord>
    func workStatistics(environmentID: String) async throws(StoreError) -> WorkStatistics
    /// Items whose lease ends, soonest first: what the lease clock watches. Read once at start.
    func leasedWork() async throws(StoreError) -> [WorkRecord]
    /// Items whose lease was taken with that environment key.
    func leasedWork(keyID: String) async throws(StoreError) -> [WorkRecord]
}
