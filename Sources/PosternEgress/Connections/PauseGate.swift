import NIOCore
import Synchronization

/// Stops and resumes the traffic of a session: all its connections, those to the sandbox and those to servers, at one time.
final class PauseGate: Sendable {
    private struct State {
        var isPaused = false
        var next = 0
        var valves: [Int: NIOLoopBound<PauseValve>] = [:]
        var waiting: [Int: CheckedContinuation<Void, any Error>] = [:]
    }
    private let state = Mutex(State())

    /// Puts a valve into the pipeline of a new connection, next to its socket. On the channel's event loop, before other handlers.
    func attach(to channel: any Channel) throws {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        let valve = PauseValve { [weak self] in self?.state.withLock { _ = $0.valves.removeValue(forKey: id) } }
        let bound = NIOLoopBound(valve, eventLoop: channel.eventLoop)
        let isPaused = state.withLock { state in
            state.valves[id] = bound
            return state.isPaused
        }
        if isPaused { valve.close() }
        do {
            try channel.pipeline.syncOperations.addHandler(valve, name: PauseValve.name, position: .first)
        } catch {
            state.withLock { _ = $0.valves.removeValue(forKey: id) }
            throw error
        }
    }

    /// A connection that was accepted, behind its valve.
    func admit(_ channel: any Channel) -> EventLoopFuture<any Channel> {
        channel.eventLoop.makeCompletedFuture {
            try attach(to: channel)
            return channel
        }
    }

    /// Returns at once, or when the session is resumed: nothing new begins meanwhile.
    func pass() async throws {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (mayPass, isCancelled) = state.withLock { state in
                    if Task.isCancelled { return (false, true) }
                    if state.isPaused { state.waiting[id] = continuation }
                    return (!state.isPaused, false)
                }
                if isCancelled { continuation.resume(throwing: CancellationError()) } else if mayPass { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(throwing: CancellationError())
        }
    }

    /// Holds every connection from its event loop's next round on; `done` is called once all stand still. Returns at once: what one session
    /// waits for is nothing that others should.
    func pause(then done: @escaping @Sendable () -> Void) {
        let valves = state.withLock { state in
            state.isPaused = true
            return Array(state.valves.values)
        }
        Self.each(of: valves, { $0.close() }, then: done)
    }

    /// Lets everything go on that was held; `done` is called once it does.
    func resume(then done: @escaping @Sendable () -> Void) {
        let (valves, waiting) = state.withLock { state in
            state.isPaused = false
            defer { state.waiting = [:] }
            return (Array(state.valves.values), Array(state.waiting.values))
        }
        // Before the valves, which take a while: a pause that comes meanwhile must not find these let through after it.
        for continuation in waiting { continuation.resume() }
        Self.each(of: valves, { $0.open() }, then: done)
    }

    /// All are asked before any is waited for: an event loop answers when it is through with what its sockets have brought, which takes a while
    /// where many sessions share it.
    private static func each(
        of valves: [NIOLoopBound<PauseValve>], _ act: @escaping @Sendable (PauseValve) -> Void, then done: @escaping @Sendable () -> Void
    ) {
        guard let loop = valves.first?.eventLoop else { return done() }
        let futures = valves.map { valve in valve.eventLoop.submit { act(valve.value) } }
        EventLoopFuture.andAllComplete(futures, on: loop).whenComplete { _ in done() }
    }
}
