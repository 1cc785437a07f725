import Dispatch
import Synchronization

/// Copies checkpoints to a second place: `WRITER.checkpoints.jsonl` in the mirror's folder, the same bytes as in the log. On a queue of its
/// own, so that a slow or hanging file system there holds no tool call up. A failure is noted in the log with the next checkpoint.
final class MirrorWriter: Sendable {
    /// Checkpoints that may wait; of more, the oldest are left out. Each one vouches for everything before it.
    private static let maximumWaiting = 64
    /// How long a stopping worker waits for the mirror.
    private static let patience: Duration = .seconds(5)

    private struct State {
        var waiting: [[UInt8]] = []
        var isScheduled = false
        var failure: String?
        var file: (any AuditFile)?
    }

    private let path: String
    private let disk: any AuditDisk
    private let queue = DispatchQueue(label: "postern.audit.mirror")
    private let state = Mutex(State())

    init(folder: String, writer: String, disk: any AuditDisk) {
        path = "\(folder)/\(writer).checkpoints.jsonl"
        self.disk = disk
    }

    func put(_ line: [UInt8]) {
        let schedule = state.withLock { state in
            if state.waiting.count >= Self.maximumWaiting { state.waiting.removeFirst() }
            state.waiting.append(line)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if schedule { queue.async { self.flush() } }
    }

    /// Why a checkpoint was not mirrored since the last call.
    func takeFailure() -> String? {
        state.withLock { state in
            defer { state.failure = nil }
            return state.failure
        }
    }

    /// Returns when everything is copied, or after five seconds.
    func finish(_ clock: AuditClock) async {
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            let once = Once(done)
            queue.async { once.resume() }
            clock.after(Self.patience) { once.resume() }
        }
    }

    private func flush() {
        let (lines, open) = state.withLock { state in
            defer { state.waiting = [] }
            state.isScheduled = false
            return (state.waiting, state.file)
        }
        guard !lines.isEmpty else { return }
        do throws(FileError) {
            let file = if let open { open } else { try disk.open(path) }
            var written = 0
            try file.append(lines.flatMap { $0 + [0x0A] }[...], written: &written)
            try file.flush()
            state.withLock { $0.file = file }
        } catch {
            // Opened afresh next time: the file system may have come back.
            state.withLock { state in
                state.failure = error.description
                state.file = nil
            }
        }
    }
}

/// Resumes a waiter at the first of several events.
private final class Once: Sendable {
    private let waiter: Mutex<CheckedContinuation<Void, Never>?>
    init(_ waiter: CheckedContinuation<Void, Never>) { self.waiter = Mutex(waiter) }
    func resume() { waiter.withLock { $0.take() }?.resume() }
}
