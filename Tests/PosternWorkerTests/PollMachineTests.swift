import PosternWorker
import Testing

@Suite struct PollMachineTests {
    @Test func pausesOneToThreeSecondsAfterAnEmptyPoll() {
        var machine = PollMachine()
        #expect(machine.polled(.empty(held: false), random: 0) == .wait(.seconds(1)))
        #expect(machine.polled(.empty(held: false), random: 0.5) == .wait(.seconds(2)))
        #expect(machine.polled(.empty(held: true), random: 0.5) == .poll)
        #expect(machine.polled(.item, random: 0.5) == .poll)
    }

    @Test func backsOffAndForgets() {
        var machine = PollMachine()
        let waits = (0..<8).map { _ in machine.polled(.transient(retryAfter: nil), random: 0) }
        #expect(waits == [2, 4, 8, 16, 32, 60, 60, 60].map { .wait(.seconds($0)) })
        _ = machine.polled(.empty(held: true), random: 0)
        #expect(machine.polled(.transient(retryAfter: nil), random: 0.5) == .wait(.milliseconds(2500)))
        #expect(machine.polled(.transient(retryAfter: .seconds(99)), random: 0) == .wait(.seconds(99)))
    }

    @Test func acknowledgementsCountApart() {
        var machine = PollMachine()
        _ = machine.polled(.transient(retryAfter: nil), random: 0)
        #expect(machine.acknowledged(.transient(retryAfter: nil), random: 0) == .drop(.seconds(2)))
        #expect(machine.acknowledged(.transient(retryAfter: nil), random: 0) == .drop(.seconds(4)))
        #expect(machine.acknowledged(.done, random: 0) == .serve)
        #expect(machine.acknowledged(.fatal, random: 0) == .forceStop)
    }

    @Test func drainsAndFails() {
        var machine = PollMachine(drains: true)
        #expect(machine.polled(.item, random: 0) == .poll)
        #expect(machine.polled(.empty(held: false), random: 0) == .finished)
        #expect(machine.polled(.fatal, random: 0) == .failed)
    }

    @Test func theSendingWindowCloses() {
        var window = SendingWindow(opensAt: .zero, length: .seconds(10))
        #expect(window.failed(now: .zero, random: 0, retryAfter: nil) == .milliseconds(500))
        #expect(window.failed(now: .seconds(1), random: 1, retryAfter: nil) == .seconds(2))
        #expect(window.failed(now: .seconds(3), random: 0, retryAfter: .seconds(5)) == .seconds(5))
        #expect(window.failed(now: .seconds(8), random: 0, retryAfter: nil) == nil)
    }

    @Test func reconnectsFasterAfterAnEvent() {
        var backoff = ReconnectBackoff()
        #expect((0..<6).map { _ in backoff.failed() } == [500, 1000, 2000, 4000, 8000, 10_000].map { .milliseconds($0) })
        backoff.receivedEvent()
        #expect(backoff.failed() == .milliseconds(500))
    }
}
