import PosternJSON
@testable import PosternSandbox
import Synchronization

/// A driver whose sandboxes do what the input says: `{"say": text}`, `{"hang": true}`, `{"lose": true}`, `{"fail": text}`, `{"blocks": […]}`.
final class FakeDriver: SandboxDriver {
    struct State {
        var ran: [String] = []
        var specs: [SandboxSpec] = []
        var stopped = 0
        var cancelled: [String] = []
        var refusesToStart = false
        var stopsNever = false
        var watchers: [(@Sendable (State) -> Bool, CheckedContinuation<Void, Never>)] = []
    }

    let name = "fake"
    private let state = Mutex(State())
    /// Called as a call begins.
    private let onCall: @Sendable (String) -> Void

    init(refusesToStart: Bool = false, stopsNever: Bool = false, onCall: @escaping @Sendable (String) -> Void = { _ in }) {
        self.onCall = onCall
        state.withLock { ($0.refusesToStart, $0.stopsNever) = (refusesToStart, stopsNever) }
    }

    var current: State { state.withLock { $0 } }

    func until(_ matches: @escaping @Sendable (State) -> Bool) async {
        await withCheckedContinuation { waiter in
            let isDone = state.withLock { state in
                if matches(state) { return true }
                state.watchers.append((matches, waiter))
                return false
            }
            if isDone { waiter.resume() }
        }
    }

    fileprivate func change(_ change: (inout State) -> Void) {
        let met = state.withLock { state in
            change(&state)
            let now = state
            let met = now.watchers.filter { $0.0(now) }.map(\.1)
            state.watchers.removeAll { $0.0(now) }
            return met
        }
        for waiter in met { waiter.resume() }
    }

    func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
        change { $0.specs.append(spec) }
        if current.refusesToStart { throw SandboxError(.startFailed, "no user namespaces") }
        return FakeSandbox(driver: self)
    }

    fileprivate func began(_ id: String) {
        change { $0.ran.append(id) }
        onCall(id)
    }
}

struct FakeSandbox: Sandbox {
    fileprivate let driver: FakeDriver

    func call(_ invocation: ToolInvocation) async throws(SandboxError) -> ToolOutcome {
        driver.began(invocation.id)
        if invocation.input["lose"] == true { throw SandboxError(.lost, "killed") }
        if invocation.input["hang"] == true {
            do { try await Task.sleep(for: .seconds(3600)) } catch {}
            driver.change { $0.cancelled.append(invocation.id) }
            throw SandboxError(.cancelled, "cancelled")
        }
        let text = invocation.input["say"]?.string ?? invocation.input["fail"]?.string ?? ""
        let content = invocation.input["blocks"]?.array ?? [["type": "text", "text": .string(text)]]
        return ToolOutcome(
            content: content, isError: invocation.input["fail"] != nil, inputBytes: 2, outputBytes: text.utf8.count, outputLines: 1, offloadedTo: nil,
            exitCode: 0, duration: .milliseconds(1), timedOut: false)
    }

    func execute(_ command: [String], stdin: Int32, stdout: Int32, stderr: Int32) async throws(SandboxError) -> ExitStatus { .exited(0) }
    func stop() async {
        driver.change { $0.stopped += 1 }
        if driver.current.stopsNever { try? await Task.sleep(for: .seconds(3600)) }
    }
    func ended() async -> String { "" }
}
