import CPosternSandbox
import Glibc
import Synchronization

/// One thread that serves every control socket of a worker: however many sandboxes are warm, none costs a thread. It runs until
/// `stop`, and only ever does short, non-blocking work.
final class ControlReactor: Sendable {
    private let events: Int32
    private let waker: (reading: Int32, writing: Int32)
    private let isStopped = Mutex(false)
    private let channels = Mutex<[Int32: ControlChannel]>([:])

    init() throws(SandboxError) {
        var pipes: [Int32] = [-1, -1]
        events = psb_events_open()
        guard events >= 0, psb_pipe(&pipes) == 0 else { throw SandboxError(.unavailable, "no descriptors are left for the control sockets") }
        waker = (pipes[0], pipes[1])
        _ = psb_events_watch(events, waker.reading, 0)
        // The thread owns a reference to the reactor until it ends.
        let own = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<ControlReactor>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, own.toOpaque())
        guard result == 0 else {
            own.release()
            throw SandboxError(.unavailable, "no thread could be started for the control sockets")
        }
        pthread_detach(thread)
    }

    /// Serves `channel` from now on.
    func add(_ channel: ControlChannel, _ descriptor: Int32) {
        channels.withLock { $0[descriptor] = channel }
        _ = psb_events_watch(events, descriptor, 0)
    }

    func watch(_ descriptor: Int32, writing: Bool) { _ = psb_events_watch(events, descriptor, writing ? 1 : 0) }

    /// Forgets `channel`; called before its descriptor is closed.
    func remove(_ channel: ControlChannel, _ descriptor: Int32) {
        channels.withLock { if $0[descriptor] === channel { $0[descriptor] = nil } }
    }

    /// Ends the thread. Idempotent.
    func stop() {
        let isFirst = isStopped.withLock { stopped in
            defer { stopped = true }
            return !stopped
        }
        if isFirst { close(waker.writing) }
    }

    private func run() {
        var ready = [Int32](repeating: -1, count: 64)
        while true {
            let count = psb_events_wait(events, &ready, Int32(ready.count))
            guard count >= 0 else { break }
            for descriptor in ready[..<Int(count)] {
                if descriptor == waker.reading {
                    close(events)
                    close(waker.reading)
                    return
                }
                channels.withLock { $0[descriptor] }?.isReady()
            }
        }
    }
}
