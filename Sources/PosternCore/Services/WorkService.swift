import Logging
import ManagedAgentsAPI
import PosternJSON
import Synchronization

/// The answer to a heartbeat (contract section 5.5).
package struct Heartbeat: Sendable, Equatable {
    package var lastHeartbeat: String
    package var state: WorkRecord.State
    package var leaseExtended: Bool
    package var ttlSeconds: Int

    package init(lastHeartbeat: String, state: WorkRecord.State, leaseExtended: Bool, ttlSeconds: Int) {
        self.lastHeartbeat = lastHeartbeat
        self.state = state
        self.leaseExtended = leaseExtended
        self.ttlSeconds = ttlSeconds
    }
}

/// The work queue of self-hosted environments (contract section 5).
package final class WorkService: Sendable {
    private let engine: SessionEngine
    private var context: EngineContext { engine.context }
    /// Length of a lease unless the holder asks for another, in seconds.
    private let leaseSeconds: Int
    private let mint: @Sendable () -> (token: String, hash: [UInt8])

    private struct State {
        /// Session → the tokens of its present stay in the queue. A second poll with the same key of an item that was not
        /// acknowledged gives the same token, so that whoever acknowledges first holds a token that works.
        var minted: [String: Stay] = [:]
        /// Environment → worker → when it polled last.
        var pollers: [String: [String: Timestamp]] = [:]
    }
    private struct Stay {
        var queuedAt: Timestamp
        /// By the environment key that each was given to.
        var tokens: [String: (token: String, hash: [UInt8])] = [:]
    }
    private let state = Mutex(State())

    /// - Parameter mint: Makes a sessions token and its SHA-256.
    package init(engine: SessionEngine, leaseSeconds: Int = 300, mint: @escaping @Sendable () -> (token: String, hash: [UInt8])) {
        self.engine = engine
        self.leaseSeconds = leaseSeconds
        self.mint = mint
    }

    /// Hands out an item, waiting for one if asked to. Nil when there is none.
    package func poll(
        environmentID: String, key: KeyRecord, workerID: String?, reclaimAfter: Duration, wait: Duration?
    ) async throws(APIError) -> (work: WorkRecord, sessionsToken: String)? {
        notePoll(environmentID, workerID)
        let deadline = wait.map { ContinuousClock.now.advanced(by: $0) }
        while true {
            let seen = context.signal.arrivals(environmentID)
            if let claimed = try await claim(environmentID, key, workerID, reclaimAfter) { return claimed }
            guard let deadline else { return nil }
            let left = deadline - .now
            guard left > .zero else { return nil }
            // An item that was handed out and not acknowledged comes back by time alone, so a long wait looks again once in a while.
            await waitForArrival(environmentID, since: seen, atMost: min(left, max(reclaimAfter, .milliseconds(500))))
            // A poll whose caller is gone must not take an item along.
            guard !Task.isCancelled else { return nil }
            notePoll(environmentID, workerID)
        }
    }

    private func claim(
        _ environmentID: String, _ key: KeyRecord, _ workerID: String?, _ reclaimAfter: Duration
    ) async throws(APIError) -> (work: WorkRecord, sessionsToken: String)? {
        while true {
            let now = context.source.now()
            do {
                guard
                    let work = try await context.store.nextQueued(
                        environmentID: environmentID, workerID: workerID, reclaimBefore: now.advanced(by: .zero - reclaimAfter))
                else { return nil }
                let (token, hash) = token(for: work, key)
                guard let polled = WorkMachine.poll(work, workerID: workerID, keyID: key.id, tokenHash: hash, now: now) else { continue }
                try await context.update(polled)
                return (polled, token)
            } catch .conflict {
                continue  // another poll was first
            } catch {
                throw error.apiError
            }
        }
    }

    private func token(for work: WorkRecord, _ key: KeyRecord) -> (String, [UInt8]) {
        state.withLock { state in
            if let known = state.minted[work.sessionID], known.queuedAt == work.queuedAt, let given = known.tokens[key.id] { return given }
            let given = mint()
            if state.minted[work.sessionID]?.queuedAt != work.queuedAt { state.minted[work.sessionID] = Stay(queuedAt: work.queuedAt) }
            state.minted[work.sessionID]?.tokens[key.id] = given
            return given
        }
    }

    /// The hash of the token that a key was given in the item's present stay in the queue.
    private func tokenHash(for work: WorkRecord, _ keyID: String?) -> [UInt8]? {
        guard let keyID else { return nil }
        return state.withLock { state in
            guard let stay = state.minted[work.sessionID], stay.queuedAt == work.queuedAt else { return nil }
            return stay.tokens[keyID]?.hash
        }
    }

    private func waitForArrival(_ environmentID: String, since seen: Int, atMost limit: Duration) async {
        await withTaskGroup { group in
            group.addTask { await self.context.signal.wait(environmentID, since: seen) }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
    }

    /// - Parameter key: The lease is this key's from now on, whoever polled last.
    package func acknowledge(_ id: String, environmentID: String, key: KeyRecord) async throws(APIError) -> WorkRecord {
        let record = try await change(id, environmentID) { work, now throws(APIError) in
            let hash = self.tokenHash(for: work, key.id)
            guard let next = WorkMachine.acknowledge(work, keyID: key.id, tokenHash: hash, leaseSeconds: self.leaseSeconds, now: now) else {
                throw .conflict("Work \(id) is \(work.state.rawValue): it cannot be acknowledged again.")
            }
            return next
        }
        state.withLock { _ = $0.minted.removeValue(forKey: id) }
        watch(record)
        return record
    }

    /// - Throws: 403 when another key of the environment holds the lease, 412 when `expected` is not the item's last heartbeat.
    package func heartbeat(
        _ id: String, environmentID: String, expected: String?, desiredSeconds: Int?, by principal: Principal
    ) async throws(APIError) -> Heartbeat {
        let seconds = desiredSeconds ?? leaseSeconds
        let keyID = principal.environmentKeyID
        let record = try await change(id, environmentID) { work, now throws(APIError) in
            try work.checkHolder(keyID)
            let hash = self.tokenHash(for: work, keyID)
            switch WorkMachine.heartbeat(work, expected: expected, keyID: keyID, tokenHash: hash, leaseSeconds: seconds, now: now) {
            case .extended(let next): return next
            case .ending: return nil
            case .preconditionFailed(let actual): throw Self.preconditionFailed(work, expected: expected, actual: actual)
            }
        }
        let isEnding = record.state == .stopping || record.state == .stopped
        if !isEnding { watch(record) }
        return Heartbeat(
            lastHeartbeat: record.heartbeatAt?.description ?? "", state: record.state, leaseExtended: !isEnding,
            ttlSeconds: isEnding ? record.leaseSeconds : seconds)
    }

    private static func preconditionFailed(_ work: WorkRecord, expected: String?, actual: String?) -> APIError {
        var current: JSONObject = [
            "state": .string(work.state.rawValue), "ttl_seconds": JSON(work.leaseSeconds), "lease_extended": false,
        ]
        if let actual { current["last_heartbeat"] = .string(actual) }
        return APIError(
            412, .invalidRequest, "Heartbeat precondition failed: expected \(expected ?? "none"), actual was \(actual ?? "NULL")",
            details: ["current_state": .object(current), "error_visibility": "user_facing", "error_code": "heartbeat_precondition_failed"],
            shouldRetry: false)
    }

    /// Stops the item; the session's calls that its holder had been handed and left unanswered are settled in the same transaction. An item that
    /// nobody holds may be stopped by any key of its environment: the official worker does so with one that it could not acknowledge.
    /// - Throws: 403 when another key of the environment holds the lease.
    package func stop(_ id: String, environmentID: String, force: Bool, by principal: Principal) async throws(APIError) -> WorkRecord {
        let record = try await work(id, environmentID: environmentID)
        try record.checkHolder(principal.environmentKeyID)
        let now = context.source.now()
        guard let answer = WorkMachine.stop(record, force: force, now: now) else { return record }
        _ = try await engine.runner(id).submit(.stopWork(force: force, by: principal.environmentKeyID, at: now)).get()
        return answer
    }

    package func work(_ id: String, environmentID: String) async throws(APIError) -> WorkRecord {
        guard let work = try await context.work(id), work.environmentID == environmentID else { throw .notFound("Work item \(id) not found.") }
        return work
    }

    /// - Parameter patch: Key → string, or null to delete the key.
    package func updateMetadata(_ id: String, environmentID: String, _ patch: JSONObject) async throws(APIError) -> WorkRecord {
        try await change(id, environmentID) { work, _ throws(APIError) in
            var next = work
            next.metadata.merge(patch: patch)
            guard next.metadata.count <= 16 else {
                throw .invalid("metadata: at most 16 pairs are allowed", details: ["error_code": "invalid_metadata"])
            }
            next.revision += 1
            return next
        }
    }

    package func list(environmentID: String, from position: PagePosition?, limit: Int) async throws(APIError) -> Page<WorkRecord> {
        do {
            return try await context.store.workItems(environmentID: environmentID, from: position, limit: limit)
        } catch {
            throw error.apiError
        }
    }

    /// With the number of workers that polled in the last 30 seconds; nil when none gave an id.
    package func statistics(environmentID: String) async throws(APIError) -> (statistics: WorkStatistics, workersPolling: Int?) {
        let horizon = context.source.now().advanced(by: .seconds(-30))
        let workers = state.withLock { state in
            state.pollers[environmentID] = state.pollers[environmentID]?.filter { $0.value > horizon }
            return state.pollers[environmentID]?.count
        }
        do {
            return (try await context.store.workStatistics(environmentID: environmentID), workers)
        } catch {
            throw error.apiError
        }
    }

    /// Whether a worker's credential opens this session: it holds the lease now.
    package func isLeaseHeld(session id: String, by principal: Principal) async throws(APIError) -> Bool {
        try await context.holdsLease(id, principal)
    }

    /// Whether there is a session with that id, in any environment.
    package func hasSession(_ id: String) async throws(APIError) -> Bool { try await context.hasSession(id) }

    /// Whether the session goes on: it is there, not archived and not terminated.
    package func isLive(session id: String) async throws(APIError) -> Bool { try await context.isLive(id) }

    /// The item of a session, in whatever state.
    package func work(session id: String) async throws(APIError) -> WorkRecord? { try await context.work(id) }

    /// The item whose sessions token has that SHA-256, as long as the token is good for something.
    package func work(tokenHash: [UInt8]) async throws(APIError) -> WorkRecord? {
        try await context.work(tokenHash: tokenHash)
    }

    /// Takes away the leases that were taken with a key.
    package func endLeases(ofKey keyID: String) async {
        do {
            for work in try await context.store.leasedWork(keyID: keyID) { await engine.runner(work.sessionID).post(.leaseRevoked) }
        } catch {
            context.logger.error("leases of a revoked key could not be read", metadata: ["key": "\(keyID)", "error": "\(error)"])
        }
    }

    // MARK: Inside

    /// Reads, decides and writes one item, again if somebody else wrote in between. Nil from `decide` stores nothing.
    private func change(
        _ id: String, _ environmentID: String, _ decide: (WorkRecord, Timestamp) throws(APIError) -> WorkRecord?
    ) async throws(APIError) -> WorkRecord {
        while true {
            let current = try await work(id, environmentID: environmentID)
            guard let next = try decide(current, context.source.now()) else { return current }
            do {
                try await context.update(next)
                return next
            } catch .conflict {
                continue
            } catch {
                throw error.apiError
            }
        }
    }

    private func watch(_ work: WorkRecord) {
        if let end = work.leaseExpiresAt { context.leases.watch(work.sessionID, until: end) }
    }

    private func notePoll(_ environmentID: String, _ workerID: String?) {
        guard let workerID else { return }
        let now = context.source.now()
        let horizon = now.advanced(by: .seconds(-30))
        state.withLock { state in
            var pollers = state.pollers[environmentID] ?? [:]
            // A caller that gives itself a new name each time must not fill the memory.
            if pollers.count >= 1024 { pollers = pollers.filter { $0.value > horizon } }
            if pollers.count < 1024 || pollers[workerID] != nil { pollers[workerID] = now }
            state.pollers[environmentID] = pollers
        }
    }
}

extension WorkRecord {
    /// - Parameter keyID: The environment key that wants to extend or end the lease; nil for whom the authenticator has let through already: an API
    ///   key, or the item's own token.
    /// - Throws: 403 when another key holds the lease.
    func checkHolder(_ keyID: String?) throws(APIError) {
        guard let keyID, !isOpen(to: keyID) else { return }
        throw .forbidden(
            "Work item \(sessionID) is leased with another key of its environment. Its holder or an API key may extend or stop it; poll again to get it "
                + "when that lease has ended.")
    }
}
