import PosternWorker
import Testing

@Suite struct LauncherMachineTests {
    private typealias Machine = LauncherMachine

    private func running(_ machine: inout Machine) { #expect(machine.apply(.begin(failures: 0), now: .zero).last == .run) }

    @Test func aScriptThatStaysUntilItsWorkerHasEnded() {
        var machine = Machine()
        running(&machine)
        #expect(machine.apply(.ended(.exited(0)), now: .seconds(100)) == [.ask])
        #expect(machine.apply(.holder(.over), now: .seconds(100)) == [.end(.finished)])
        #expect(machine.apply(.timer, now: .seconds(200)) == [])
    }

    @Test func aScriptThatReturnsEarlyWhoseWorkerComes() {
        var machine = Machine()
        running(&machine)
        #expect(machine.apply(.ended(.exited(0)), now: .zero) == [.ask])
        #expect(machine.apply(.holder(.nobody), now: .zero) == [.sleep(.seconds(2))])
        #expect(machine.apply(.timer, now: .seconds(2)) == [.ask])
        #expect(machine.apply(.holder(.unknown), now: .seconds(2)) == [.sleep(.seconds(2))])
        #expect(machine.apply(.timer, now: .seconds(4)) == [.ask])
        #expect(machine.apply(.holder(.somebody), now: .seconds(4)) == [.end(.handedOver)])
    }

    @Test func aScriptThatReturnsEarlyWhoseWorkerNeverComes() {
        var machine = Machine(handoverGrace: .seconds(5))
        running(&machine)
        _ = machine.apply(.ended(.exited(0)), now: .zero)
        var now = Duration.zero
        var asked = 1
        while case .sleep(let wait)? = machine.apply(.holder(.nobody), now: now).first {
            now += wait
            #expect(machine.apply(.timer, now: now) == [.ask])
            asked += 1
        }
        // The last question is asked at the very end of the grace, not after it.
        #expect(now == .seconds(5) && asked == 4)
        let ends = machine.apply(.claimed(true), now: now)
        #expect(ends == [.end(.released(failure: "it returned and no worker took the session over"))])
    }

    /// The worker comes between the last question and the claim: the claim is refused, and the session is that worker's.
    @Test func aWorkerThatComesAtTheLastInstant() {
        var machine = Machine(handoverGrace: .zero)
        running(&machine)
        _ = machine.apply(.ended(.exited(0)), now: .zero)
        #expect(machine.apply(.holder(.nobody), now: .zero) == [.claim])
        #expect(machine.apply(.claimed(false), now: .zero) == [.end(.handedOver)])
    }

    @Test func aFailureGivesTheItemBackAtOnceUnlessSomebodyHoldsIt() {
        for (end, word) in [(Machine.ScriptEnd.exited(3), "status 3"), (.signalled(9), "signal 9")] {
            var machine = Machine()
            running(&machine)
            #expect(machine.apply(.ended(end), now: .zero) == [.ask])
            #expect(machine.apply(.holder(.unknown), now: .zero) == [.claim])
            guard case .end(.released(let failure?))? = machine.apply(.claimed(true), now: .zero).first else {
                Issue.record("not released")
                continue
            }
            #expect(failure.contains(word))
        }
        var machine = Machine()
        running(&machine)
        _ = machine.apply(.ended(.exited(1)), now: .zero)
        #expect(machine.apply(.holder(.somebody), now: .zero) == [.end(.handedOver)])
        machine = Machine()
        running(&machine)
        #expect(machine.apply(.ended(.notStarted("no such file")), now: .zero) == [.claim])
        #expect(machine.apply(.claimed(nil), now: .zero) == [.end(.lapsing(failure: "it could not be started: no such file"))])
    }

    @Test func failuresAreSpacedOut() {
        #expect((0...8).map(Machine.delay) == [0, 2, 4, 8, 16, 32, 60, 60, 60].map { .seconds($0) })
        var machine = Machine()
        #expect(machine.apply(.begin(failures: 2), now: .zero) == [.sleep(.seconds(4))])
        #expect(machine.apply(.timer, now: .seconds(4)) == [.run])
    }

    @Test func aTimeLimitEndsInAKillOfEverything() {
        var machine = Machine(timeLimit: .seconds(30), stopGrace: .seconds(5))
        #expect(machine.apply(.begin(failures: 0), now: .zero) == [.sleep(.seconds(30)), .run])
        #expect(machine.apply(.timer, now: .seconds(30)) == [.terminate, .sleep(.seconds(5))])
        #expect(machine.apply(.timer, now: .seconds(35)) == [.kill])
        #expect(machine.apply(.ended(.signalled(9)), now: .seconds(35)) == [.kill, .claim])
    }

    @Test func drainingEndsTheScriptAndGivesTheItemBack() {
        var machine = Machine(stopGrace: .seconds(5))
        running(&machine)
        #expect(machine.apply(.stop(.drain), now: .zero) == [.terminate, .sleep(.seconds(5))])
        #expect(machine.apply(.stop(.drain), now: .zero) == [])
        #expect(machine.apply(.ended(.exited(143)), now: .seconds(1)) == [.kill, .claim])
        #expect(machine.apply(.claimed(true), now: .seconds(1)) == [.end(.released(failure: nil))])
        // Before the script runs, and while it is asked who holds the item.
        machine = Machine()
        _ = machine.apply(.begin(failures: 3), now: .zero)
        #expect(machine.apply(.stop(.drain), now: .zero) == [.claim])
        machine = Machine()
        running(&machine)
        _ = machine.apply(.ended(.exited(0)), now: .zero)
        #expect(machine.apply(.stop(.drain), now: .zero) == [.claim])
    }

    /// Nothing was started: what is held leaves as what never ran.
    @Test func whatIsFrozenIsHeldAndRunsOnceItIsThawed() {
        var machine = Machine(timeLimit: .seconds(30))
        running(&machine)
        #expect(machine.apply(.held, now: .zero) == [])
        // The time limit of a run that was none.
        #expect(machine.apply(.timer, now: .seconds(30)) == [])
        #expect(machine.apply(.thawed, now: .seconds(40)) == [.sleep(.seconds(30)), .run])
        #expect(machine.apply(.thawed, now: .seconds(41)) == [])
        #expect(machine.apply(.held, now: .seconds(42)) == [])
        #expect(machine.apply(.stop(.drain), now: .seconds(43)) == [.claim])
        machine = Machine()
        running(&machine)
        _ = machine.apply(.held, now: .zero)
        #expect(machine.apply(.stop(.superseded), now: .zero) == [.end(.superseded)])
        // Told to end while it was asked whether it may run.
        machine = Machine()
        running(&machine)
        #expect(machine.apply(.stop(.drain), now: .zero).first == .terminate)
        #expect(machine.apply(.held, now: .seconds(1)) == [.claim])
        machine = Machine(timeLimit: .seconds(30))
        running(&machine)
        #expect(machine.apply(.timer, now: .seconds(30)).first == .terminate)
        #expect(machine.apply(.held, now: .seconds(31)) == [])
        #expect(machine.apply(.thawed, now: .seconds(40)) == [.sleep(.seconds(30)), .run])
    }

    /// The lease is not this claim's: nothing is asked or claimed for it.
    @Test func aClaimThatWasSupersededTouchesNoLease() {
        var machine = Machine()
        running(&machine)
        _ = machine.apply(.stop(.superseded), now: .zero)
        #expect(machine.apply(.ended(.exited(0)), now: .zero) == [.kill, .end(.superseded)])
    }

    /// Whatever comes in whatever order: it ends once, a script that runs is killed or has ended before the end, and nothing follows the end.
    @Test func anyOrderOfInputs() {
        let inputs: [Machine.Input] = [
            .begin(failures: 0), .begin(failures: 1), .timer, .held, .thawed, .ended(.exited(0)), .ended(.exited(1)), .holder(.nobody),
            .holder(.somebody),
            .holder(.over),
            .claimed(true), .claimed(false), .claimed(nil), .stop(.drain), .stop(.superseded), .stop(.abandon),
        ]
        var seed: UInt64 = 1
        for _ in 0..<20_000 {
            var machine = Machine(timeLimit: .seconds(10), handoverGrace: .seconds(3), stopGrace: .seconds(1))
            var (isRunning, mayBeHeld, isOver, now) = (false, false, false, Duration.zero)
            for _ in 0..<25 {
                seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let input = inputs[Int(seed >> 33) % inputs.count]
                // Only a script that runs can end, and only what was to run can be held.
                if input == .held, !isRunning || !mayBeHeld { continue }
                if case .ended = input, !isRunning { continue }
                if case .ended = input { isRunning = false }
                if input == .held { isRunning = false }
                mayBeHeld = false
                now += .seconds(1)
                for action in machine.apply(input, now: now) {
                    #expect(!isOver)
                    switch action {
                    case .run:
                        #expect(!isRunning)
                        (isRunning, mayBeHeld) = (true, true)
                    case .kill: isRunning = false
                    case .end:
                        #expect(!isRunning)
                        isOver = true
                    default: break
                    }
                }
            }
        }
    }
}
