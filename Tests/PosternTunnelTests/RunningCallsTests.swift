import NIOCore
import PosternTunnelLink
import Testing

@Suite("Calls that an end waits for")
struct RunningCallsTests {
    @Test("the end comes with the last call, and at once where none runs")
    func ends() async {
        let calls = RunningCalls()
        await calls.ended(within: .hours(1))
        #expect(calls.enter() && calls.enter())
        calls.close()
        #expect(!calls.enter())
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<2 { group.addTask { await calls.ended(within: .hours(1)) } }
            for _ in 0..<2 { calls.leave() }
        }
        await calls.ended(within: .hours(1))
    }

    @Test("a call that does not end is waited for no longer than its time, nor by who is cancelled")
    func timesOut() async {
        let calls = RunningCalls()
        #expect(calls.enter())
        await calls.ended(within: .milliseconds(1))
        let waiting = Task { await calls.ended(within: .hours(1)) }
        waiting.cancel()
        await waiting.value
        calls.leave()
        await calls.ended(within: .hours(1))
    }
}
