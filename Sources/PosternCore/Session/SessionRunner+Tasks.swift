import ManagedAgentsAPI
import Synchronization

// What each kind of task does, before anything is stored.
extension SessionRunner {
    /// What a task makes of the machine, and of what is to be stored with its step. Throws where the store does not answer; what is wrong with the task is its
    /// result.
    func apply(
        _ kind: SessionTask.Kind, to machine: inout SessionMachine, _ pending: inout PendingSettlement
    ) async throws(StoreError) -> Result<[[UInt8]], APIError> {
        do throws(APIError) {
            switch kind {
            case .input(let input): try machine.handle(input)
            case .update(let patch): try machine.handle(try pending.update(patch))
            case .archive:
                guard machine.state.status != .running, machine.state.status != .rescheduling else {
                    throw .invalid(
                        "Session \(id) cannot be archived while its status is \"\(machine.state.status.rawValue)\". Only pending or idle sessions may be archived."
                    )
                }
                if pending.record.archivedAt == nil {
                    machine.markArchived()
                    pending.archivedAt = engine.source.now()
                    if let stored = try await engine.work(id) {
                        let work = pending.work ?? stored
                        pending.work = WorkMachine.stop(work, force: true, now: engine.source.now())?.following(stored) ?? pending.work
                    }
                }
            case .leaseExpired: try await endLease(isRevoked: false, &machine, &pending)
            case .leaseRevoked: try await endLease(isRevoked: true, &machine, &pending)
            case .stopWork(let force, let keyID, let time): try await stopWork(force, by: keyID, time, &machine, &pending)
            }
            let step = machine.takeStep()
            pending.step.add(step)
            return .success(step.echoes)
        } catch {
            // Nobody waits for the end of a lease, so it is tried again until the store answers.
            switch kind {
            case .leaseExpired, .leaseRevoked: throw error.shouldRetry == false ? .invalid("\(error)") : .unavailable("\(error)")
            case .input, .update, .archive, .stopWork: return .failure(error)
            }
        }
    }

    private func endLease(isRevoked: Bool, _ machine: inout SessionMachine, _ pending: inout PendingSettlement) async throws(APIError) {
        guard let stored = try await engine.work(id) else { return }
        let work = pending.work ?? stored
        let now = engine.source.now()
        if !isRevoked, let end = work.leaseExpiresAt, end > now { return engine.leases.watch(id, until: end) }
        guard let expired = WorkMachine.expire(work, now: now) else { return }
        try await settleCalls(of: work, &machine)
        pending.work = wanted(after: expired, machine, now).following(stored)
    }

    private func stopWork(
        _ force: Bool, by keyID: String?, _ now: Timestamp, _ machine: inout SessionMachine, _ pending: inout PendingSettlement
    ) async throws(APIError) {
        guard let stored = try await engine.work(id) else { return }
        let work = pending.work ?? stored
        // Again, because somebody may have acknowledged it since the caller looked.
        try work.checkHolder(keyID)
        guard let stopped = WorkMachine.stop(work, force: force, now: now) else { return }
        if stopped.state == .stopped, work.isLeased { try await settleCalls(of: work, &machine) }
        pending.work = wanted(after: stopped, machine, now).following(stored)
    }

    /// A stopped item goes back into the queue while calls want a worker: those that nobody was handed, or that may be offered again.
    private func wanted(after work: WorkRecord, _ machine: SessionMachine, _ now: Timestamp) -> WorkRecord {
        guard work.state == .stopped, machine.state.calls.contains(where: { $0.isOutstanding && $0.owner == .worker }) else { return work }
        return WorkMachine.requeue(work, now: now) ?? work
    }

    /// In the transaction that ends the lease, so that the next worker finds nothing to run twice. The holder's streams are closed first: what it has
    /// been handed by then is what it has been handed.
    private func settleCalls(of work: WorkRecord, _ machine: inout SessionMachine) async throws(APIError) {
        engine.hub.closeWorkers(session: id)
        let redelivery = try await engine.redelivery(environmentID: work.environmentID)
        try machine.handle(.leaseLost(deliveredSequence: deliveredSequence.load(ordering: .relaxed), redelivery: redelivery))
    }
}
