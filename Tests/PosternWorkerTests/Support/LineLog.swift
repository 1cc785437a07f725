import Logging
import Synchronization

/// Keeps log lines, and tells when one that matches has come.
final class LineLog: Sendable {
    private struct State {
        var lines: [String] = []
        var watchers: [(count: Int, part: String, waiter: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var lines: [String] { state.withLock { $0.lines } }

    func logger() -> Logger { Logger(label: "test", factory: { _ in Handler(log: self) }) }

    /// Returns once `count` lines that hold `part` have come.
    func has(_ part: String, count: Int = 1) async {
        await withCheckedContinuation { waiter in
            let isDone = state.withLock { state in
                if state.lines.filter({ $0.contains(part) }).count >= count { return true }
                state.watchers.append((count, part, waiter))
                return false
            }
            if isDone { waiter.resume() }
        }
    }

    private func add(_ line: String) {
        let met = state.withLock { state in
            state.lines.append(line)
            let lines = state.lines
            func isMet(_ watcher: (count: Int, part: String, waiter: CheckedContinuation<Void, Never>)) -> Bool {
                lines.filter { $0.contains(watcher.part) }.count >= watcher.count
            }
            let met = state.watchers.filter(isMet).map(\.waiter)
            state.watchers.removeAll(where: isMet)
            return met
        }
        for waiter in met { waiter.resume() }
    }

    private struct Handler: LogHandler {
        let log: LineLog
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .info

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            log.add("\(event.message) " + all.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " "))
        }
    }
}
