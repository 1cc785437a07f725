import PosternSandboxWire
import Testing

@Suite struct FreezeMachineTests {
    @Test func answersWhenTheKernelSaysSo() {
        var machine = FreezeMachine()
        #expect(!machine.isWaiting)
        #expect(machine.handle(.freeze(request: 1)) == [.set(frozen: true)])
        #expect(machine.isWaiting)
        // Not yet: said again, in case a fork slipped through.
        #expect(machine.handle(.observed(isFrozen: false)) == [.set(frozen: true)])
        #expect(machine.handle(.freeze(request: 2)).isEmpty)
        #expect(machine.handle(.observed(isFrozen: true)) == [.answer(requests: [1, 2])])
        #expect(!machine.isWaiting)
        #expect(machine.handle(.freeze(request: 3)) == [.answer(requests: [3])])
        #expect(machine.handle(.thaw(request: 4)) == [.set(frozen: false)])
        #expect(machine.handle(.observed(isFrozen: false)) == [.answer(requests: [4])])
    }

    @Test func letsTheLastWordCount() {
        var machine = FreezeMachine()
        _ = machine.handle(.freeze(request: 1))
        #expect(machine.handle(.thaw(request: 2)) == [.refuse(requests: [1], reason: "a later thaw overruled it"), .set(frozen: false)])
        #expect(machine.handle(.observed(isFrozen: true)) == [.set(frozen: false)])
        #expect(machine.handle(.observed(isFrozen: false)) == [.answer(requests: [2])])
    }

    /// What has ended stands still, and cannot run again.
    @Test func endsWithTheSandbox() {
        var frozen = FreezeMachine()
        _ = frozen.handle(.freeze(request: 1))
        #expect(frozen.handle(.ended) == [.answer(requests: [1])])
        #expect(frozen.handle(.freeze(request: 2)) == [.answer(requests: [2])])
        #expect(frozen.handle(.thaw(request: 3)) == [.refuse(requests: [3], reason: "the sandbox has ended")])
        #expect(!frozen.isWaiting)
        var thawed = FreezeMachine()
        _ = thawed.handle(.freeze(request: 1))
        _ = thawed.handle(.observed(isFrozen: true))
        _ = thawed.handle(.thaw(request: 2))
        #expect(thawed.handle(.ended) == [.refuse(requests: [2], reason: "the sandbox has ended")])
    }

    /// Whatever order things come in, each request is answered or refused exactly once, and none is left when the kernel has obeyed.
    @Test func answersEachRequestOnce() {
        for sequence in 0..<(1 << 12) {
            var machine = FreezeMachine()
            var (asked, answered): (Set<Int>, [Int]) = ([], [])
            var isFrozen = false
            func take(_ actions: [FreezeMachine.Action]) {
                for action in actions {
                    switch action {
                    case .set(let frozen): isFrozen = frozen
                    case .answer(let requests), .refuse(let requests, _): answered += requests
                    }
                }
            }
            for step in 0..<6 {
                switch (sequence >> (2 * step)) & 3 {
                case 0:
                    asked.insert(step)
                    take(machine.handle(.freeze(request: step)))
                case 1:
                    asked.insert(step)
                    take(machine.handle(.thaw(request: step)))
                case 2: take(machine.handle(.observed(isFrozen: isFrozen)))
                default: take(machine.handle(.observed(isFrozen: !isFrozen)))
                }
            }
            take(machine.handle(.observed(isFrozen: isFrozen)))
            #expect(Set(answered) == asked && answered.count == asked.count && !machine.isWaiting, "\(sequence)")
        }
    }
}
