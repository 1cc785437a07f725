import PosternWorker
import SeededRandom
import Testing

@Suite struct LeaseMachineTests {
    private func answer(_ value: String = "b", state: String = "active", extended: Bool = true, ttl: Int = 300) -> LeaseMachine.Answer {
        LeaseMachine.Answer(lastHeartbeat: value, state: state, isExtended: extended, ttlSeconds: ttl)
    }

    @Test func namesTheValueOfThePreviousAnswer() {
        var machine = LeaseMachine(now: .zero)
        #expect(machine.expected == "NO_HEARTBEAT")
        #expect(machine.answered(answer("2026-11-23T12:00:00.000001Z"), sentAt: .zero) == .wait(.seconds(30)))
        #expect(machine.expected == "2026-11-23T12:00:00.000001Z")
        _ = machine.answered(answer(""), sentAt: .seconds(1))
        #expect(machine.expected == "2026-11-23T12:00:00.000001Z")
    }

    @Test(arguments: [(4, 2), (1, 1), (60, 30), (600, 30), (0, 30)]) func beatsAtHalfTheLease(_ ttl: Int, _ seconds: Int) {
        var machine = LeaseMachine(now: .zero)
        #expect(machine.answered(answer(ttl: ttl), sentAt: .zero) == .wait(.seconds(seconds)))
    }

    @Test func stoppingEndsIt() {
        for reply in [answer(state: "stopping"), answer(state: "stopped"), answer(extended: false)] {
            var machine = LeaseMachine(now: .zero)
            #expect(machine.answered(reply, sentAt: .zero) == .end(.stopping))
            #expect(machine.answered(answer(), sentAt: .zero) == .end(.stopping))
        }
    }

    @Test func aMismatchIsALoss() {
        var machine = LeaseMachine(now: .zero)
        #expect(machine.preconditionFailed() == .end(.lost))
        #expect(machine.refused() == .end(.lost))
    }

    @Test func isLostWhenNothingIsHeardForTheWholeLease() {
        var machine = LeaseMachine(now: .zero)
        _ = machine.answered(answer(ttl: 40), sentAt: .seconds(10))
        #expect(machine.failed(now: .seconds(31)) == .wait(.seconds(19)))
        #expect(machine.failed(now: .seconds(49)) == .wait(.seconds(1)))
        #expect(machine.failed(now: .seconds(50)) == .end(.lost))
    }

    @Test func assumesNinetySecondsBeforeTheFirstAnswer() {
        var machine = LeaseMachine(now: .zero)
        #expect(machine.failed(now: .seconds(89)) == .wait(.seconds(1)))
        #expect(machine.failed(now: .seconds(90)) == .end(.lost))
    }

    /// However answers and failures mix, it never waits past the end of the lease, and never wakes from its end.
    @Test(arguments: 0..<50) func neverOutlivesTheLease(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var machine = LeaseMachine(now: .zero)
        var now = Duration.zero
        var success = Duration.zero
        var ttl = Duration.seconds(90)
        for _ in 0..<200 {
            now += .milliseconds(Int.random(in: 0...20_000, using: &generator))
            let step: LeaseMachine.Step
            if Bool.random(using: &generator) {
                let seconds = Int.random(in: 1...120, using: &generator)
                step = machine.answered(answer(ttl: seconds), sentAt: now)
                ttl = .seconds(seconds)
                success = now
            } else {
                step = machine.failed(now: now)
            }
            switch step {
            case .wait(let wait): #expect(wait > .zero && now + wait <= max(success + ttl, now + .seconds(1)))
            case .end(let end):
                #expect(end == .lost && now >= success + ttl)
                #expect(machine.answered(answer(), sentAt: now) == .end(.lost))
                return
            }
        }
    }
}
