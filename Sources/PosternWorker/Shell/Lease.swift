import Logging
import ManagedAgentsClient
import PosternAudit
import PosternJSON
import Synchronization

/// Keeps an item's lease: beats, remembers, and says when it is over. After `isLost` nothing may be sent for the item.
final class Lease: Sendable {
    private let item: WorkItem
    private let client: ManagedAgentsClient
    private let journal: SessionJournal
    private let pacing: Pacing
    private let logger: Logger
    private let machine: Mutex<LeaseMachine>
    private let lost = Mutex(false)

    init(item: WorkItem, client: ManagedAgentsClient, journal: SessionJournal, pacing: Pacing, logger: Logger) {
        self.item = item
        self.client = client
        self.journal = journal
        self.pacing = pacing
        self.logger = logger
        machine = Mutex(LeaseMachine(expected: item.heartbeat ?? LeaseMachine.noHeartbeat, now: pacing.now()))
    }

    var isLost: Bool { lost.withLock { $0 } }
    var sendingWindow: Duration { machine.withLock { $0.sendingWindow } }

    /// Another serves the item: whatever is under way must not be sent.
    func lose() { lost.withLock { $0 = true } }

    /// Beats until the lease ends; `nil` when the task is cancelled. `onBeat` is told of each answered beat.
    func run(onBeat: () -> Void = {}) async -> LeaseMachine.End? {
        while !Task.isCancelled {
            let (expected, interval) = machine.withLock { ($0.expected, $0.interval) }
            let sentAt = pacing.now()
            let step: LeaseMachine.Step
            do throws(ClientError) {
                let answer = try await client.heartbeatWork(
                    item.id, environment: item.environmentID, expected: expected, options: .init(timeout: interval / 3))
                step = machine.withLock { machine in
                    machine.answered(
                        .init(
                            lastHeartbeat: answer["last_heartbeat"]?.string ?? "", state: answer["state"]?.string ?? "",
                            isExtended: answer["lease_extended"]?.bool ?? false, ttlSeconds: answer["ttl_seconds"]?.int ?? 0),
                        sentAt: sentAt)
                }
                onBeat()
                if let value = answer["last_heartbeat"]?.string, !value.isEmpty {
                    // A worker that returns without it loses the lease to a 412; nothing is run twice for that.
                    do { try await journal.append(.beat(value)) } catch { logger.error("journal: \(error)") }
                }
            } catch {
                if error.isCancellation || Task.isCancelled { return nil }
                if error.status == 412 {
                    step = machine.withLock { $0.preconditionFailed() }
                } else if error.isFatal {
                    step = machine.withLock { $0.refused() }
                } else {
                    step = machine.withLock { $0.failed(now: pacing.now()) }
                }
                logger.warning("heartbeat failed: \(error)")
            }
            switch step {
            case .wait(let duration):
                do { try await pacing.sleep(duration) } catch { return nil }
            case .end(let end):
                if end == .lost { lose() }
                return end
            }
        }
        return nil
    }
}
