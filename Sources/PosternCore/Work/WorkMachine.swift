import ManagedAgentsAPI
import PosternJSON

/// The life of a work item (contract section 5): queued → starting → active → stopping → stopped, and back into the queue.
/// Each transition gives the record to store, with its revision moved on, or nil where nothing changes.
enum WorkMachine {
    /// A heartbeat that says this claims an item nobody has beaten for.
    static let noHeartbeat = "NO_HEARTBEAT"

    enum HeartbeatOutcome: Equatable {
        /// Store it and answer with it.
        case extended(WorkRecord)
        /// The holder must stop: answered, nothing stored.
        case ending(WorkRecord)
        /// 412.
        case preconditionFailed(actual: String?)
    }

    /// Hands the item out. It stays in the queue until it is acknowledged.
    static func poll(_ work: WorkRecord, workerID: String?, keyID: String, tokenHash: [UInt8], now: Timestamp) -> WorkRecord? {
        guard work.state == .queued else { return nil }
        return changed(work) {
            $0.polledAt = now
            $0.workerID = workerID ?? $0.workerID
            $0.keyID = keyID
            $0.tokenHash = tokenHash
        }
    }

    /// Takes the item off the queue and begins the lease. Nil for an item that somebody else has acknowledged, or that was stopped.
    /// - Parameter tokenHash: Of the token that this key was given for the item; counts where another key has polled it since.
    static func acknowledge(_ work: WorkRecord, keyID: String, tokenHash: [UInt8]? = nil, leaseSeconds: Int, now: Timestamp) -> WorkRecord? {
        guard work.state == .queued else { return nil }
        return changed(work) {
            $0.state = .starting
            $0.polledAt = nil
            $0.acknowledgedAt = now
            $0.take(by: keyID, tokenHash)
            $0.leaseSeconds = leaseSeconds
            $0.leaseExpiresAt = now.advanced(by: .seconds(leaseSeconds))
        }
    }

    /// - Parameters:
    ///   - expected: The `last_heartbeat` that the holder knows, `NO_HEARTBEAT` for its first, nil to claim or extend without looking.
    ///   - keyID: The environment key that beats, to which a claimed item belongs from now on; nil for the item's own token.
    ///   - tokenHash: As for `acknowledge`.
    static func heartbeat(
        _ work: WorkRecord, expected: String?, keyID: String? = nil, tokenHash: [UInt8]? = nil, leaseSeconds: Int, now: Timestamp
    ) -> HeartbeatOutcome {
        if work.state == .stopping || work.state == .stopped { return .ending(work) }
        let actual = work.heartbeatAt?.description
        if let expected, expected != actual ?? noHeartbeat { return .preconditionFailed(actual: actual) }
        return .extended(
            changed(work) {
                if let keyID, !$0.isLeased { $0.take(by: keyID, tokenHash) }
                $0.state = .active
                $0.polledAt = nil
                $0.acknowledgedAt = $0.acknowledgedAt ?? now
                // Each beat has a value of its own, or two holders could not be told apart.
                $0.heartbeatAt = max(now, Timestamp(microseconds: ($0.heartbeatAt?.microseconds ?? 0) + 1))
                $0.leaseSeconds = leaseSeconds
                $0.leaseExpiresAt = now.advanced(by: .seconds(leaseSeconds))
            })
    }

    /// Nil when nothing changes: it is stopped, or stopping and not forced.
    static func stop(_ work: WorkRecord, force: Bool, now: Timestamp) -> WorkRecord? {
        switch (work.state, force) {
        case (.stopped, _), (.stopping, false): nil
        case (.starting, false), (.active, false):
            changed(work) {
                $0.state = .stopping
                $0.stopRequestedAt = $0.stopRequestedAt ?? now
            }
        case (.queued, _), (_, true):
            changed(work) {
                $0.state = .stopped
                $0.polledAt = nil
                $0.leaseExpiresAt = nil
                $0.stopRequestedAt = $0.stopRequestedAt ?? now
                $0.stoppedAt = now
            }
        }
    }

    /// The lease has run out or was taken away: the item goes back to the queue, or ends if it was stopping anyway.
    static func expire(_ work: WorkRecord, now: Timestamp) -> WorkRecord? {
        switch work.state {
        case .queued, .stopped: nil
        case .stopping: stop(work, force: true, now: now)
        case .starting, .active: enqueued(work, now: now)
        }
    }

    /// A stopped item enters the queue again, under the same id.
    static func requeue(_ work: WorkRecord, now: Timestamp) -> WorkRecord? {
        work.state == .stopped ? enqueued(work, now: now) : nil
    }

    private static func enqueued(_ work: WorkRecord, now: Timestamp) -> WorkRecord {
        changed(work) {
            $0.state = .queued
            $0.queuedAt = now
            $0.polledAt = nil
            $0.acknowledgedAt = nil
            $0.stopRequestedAt = nil
            $0.stoppedAt = nil
            $0.heartbeatAt = nil
            $0.leaseExpiresAt = nil
            $0.tokenHash = nil
            $0.keyID = nil
        }
    }

    private static func changed(_ work: WorkRecord, _ change: (inout WorkRecord) -> Void) -> WorkRecord {
        var work = work
        change(&work)
        work.revision += 1
        return work
    }
}

extension WorkRecord {
    /// Somebody has acknowledged it and has not let go.
    package var isLeased: Bool { state == .starting || state == .active || state == .stopping }

    /// Whether an environment key may extend or end the item's lease: it holds it, or nobody does.
    func isOpen(to keyID: String) -> Bool { !isLeased || self.keyID == keyID }

    /// The lease is that key's from now on, whoever polled last: a token that another key was given opens nothing of it.
    fileprivate mutating func take(by keyID: String, _ tokenHash: [UInt8]?) {
        guard self.keyID != keyID else { return }
        self.keyID = keyID
        self.tokenHash = tokenHash
    }

    /// The record as one write after `stored`, when several transitions were decided in between.
    func following(_ stored: WorkRecord) -> WorkRecord {
        var record = self
        record.revision = stored.revision + 1
        return record
    }
}
