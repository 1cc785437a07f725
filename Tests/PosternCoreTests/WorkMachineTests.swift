import ManagedAgentsAPI
import Testing

@testable import PosternCore

@Suite("Work machine") struct WorkMachineTests {
    private let start = Timestamp(microseconds: 1_000_000)
    private func at(_ seconds: Int) -> Timestamp { start.advanced(by: .seconds(seconds)) }
    private var queued: WorkRecord {
        WorkRecord(sessionID: "sesn_1", environmentID: "env_1", workspaceID: "w", createdAt: start, queuedAt: start)
    }

    @Test("The ordinary life: polled, acknowledged, beaten for, stopped, queued again") func life() throws {
        let polled = try #require(WorkMachine.poll(queued, workerID: "w1", keyID: "k", tokenHash: [1], now: at(1)))
        #expect(polled.state == .queued && polled.polledAt == at(1) && polled.revision == 1)
        let starting = try #require(WorkMachine.acknowledge(polled, keyID: "k", leaseSeconds: 30, now: at(2)))
        #expect(starting.state == .starting && starting.leaseExpiresAt == at(32) && starting.polledAt == nil)
        #expect(WorkMachine.acknowledge(starting, keyID: "k", leaseSeconds: 30, now: at(3)) == nil)
        #expect(WorkMachine.poll(starting, workerID: nil, keyID: "k", tokenHash: [], now: at(3)) == nil)
        guard case .extended(let active) = WorkMachine.heartbeat(starting, expected: "NO_HEARTBEAT", leaseSeconds: 30, now: at(3)) else {
            Issue.record("the first beat was refused")
            return
        }
        #expect(active.state == .active && active.leaseExpiresAt == at(33))
        let stopping = try #require(WorkMachine.stop(active, force: false, now: at(4)))
        #expect(stopping.state == .stopping && stopping.leaseExpiresAt == at(33))
        #expect(WorkMachine.stop(stopping, force: false, now: at(5)) == nil)
        let stopped = try #require(WorkMachine.stop(stopping, force: true, now: at(5)))
        #expect(stopped.state == .stopped && stopped.stopRequestedAt == at(4) && stopped.leaseExpiresAt == nil)
        #expect(WorkMachine.stop(stopped, force: true, now: at(6)) == nil)
        let again = try #require(WorkMachine.requeue(stopped, now: at(7)))
        #expect(again.state == .queued && again.heartbeatAt == nil && again.tokenHash == nil && again.workerID == "w1")
        #expect(WorkMachine.requeue(again, now: at(8)) == nil)
    }

    @Test("A heartbeat must name the last one, byte for byte") func precondition() {
        guard case .extended(let first) = WorkMachine.heartbeat(queued, expected: "NO_HEARTBEAT", leaseSeconds: 9, now: at(1)) else { return }
        let value = first.heartbeatAt?.description
        #expect(WorkMachine.heartbeat(first, expected: "NO_HEARTBEAT", leaseSeconds: 9, now: at(2)) == .preconditionFailed(actual: value))
        #expect(WorkMachine.heartbeat(first, expected: "other", leaseSeconds: 9, now: at(2)) == .preconditionFailed(actual: value))
        guard case .extended(let second) = WorkMachine.heartbeat(first, expected: value, leaseSeconds: 9, now: at(1)) else {
            Issue.record("the right value was refused")
            return
        }
        #expect(second.heartbeatAt != first.heartbeatAt, "two beats of one instant have values of their own")
    }

    @Test("A lease that ends puts the item back and makes the old holder's beats fail") func expiry() throws {
        guard case .extended(let active) = WorkMachine.heartbeat(queued, expected: nil, leaseSeconds: 9, now: at(1)) else { return }
        let expired = try #require(WorkMachine.expire(active, now: at(20)))
        #expect(expired.state == .queued && expired.queuedAt == at(20) && !expired.isLeased)
        #expect(
            WorkMachine.heartbeat(expired, expected: active.heartbeatAt?.description, leaseSeconds: 9, now: at(21))
                == .preconditionFailed(actual: nil))
        #expect(WorkMachine.expire(expired, now: at(22)) == nil)
        let stopping = try #require(WorkMachine.stop(active, force: false, now: at(2)))
        #expect(WorkMachine.expire(stopping, now: at(20))?.state == .stopped)
        #expect(WorkMachine.heartbeat(stopping, expected: "anything", leaseSeconds: 9, now: at(3)) == .ending(stopping))
    }
}
