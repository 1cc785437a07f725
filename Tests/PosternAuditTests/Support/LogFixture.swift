import PosternAudit
import PosternJSON
import Synchronization

/// Time that stands still until a test moves it; timers wait until a test fires them.
final class ManualTime: Sendable {
    private struct State {
        var elapsed: Duration = .zero
        var waiting: [(due: Duration, body: @Sendable () -> Void)] = []
    }
    private let state = Mutex(State())

    var clock: AuditClock {
        AuditClock(
            timestamp: { "2026-11-23T00:00:00.000000Z" },
            elapsed: { self.state.withLock { $0.elapsed } },
            after: { delay, body in self.state.withLock { $0.waiting.append(($0.elapsed + delay, body)) } })
    }

    /// Moves time on and fires every timer that is due.
    func advance(_ duration: Duration) {
        let due = state.withLock { state in
            state.elapsed += duration
            let now = state.elapsed
            let due = state.waiting.filter { $0.due <= now }
            state.waiting.removeAll { $0.due <= now }
            return due
        }
        for timer in due { timer.body() }
    }
}

/// A log on a disk in memory.
struct LogFixture: Sendable {
    static let path = "/log/audit.jsonl"
    static let key = AuditKey(bytes: [UInt8](repeating: 7, count: 32))

    let disk: MemoryDisk
    let time = ManualTime()
    var settings = AuditSettings()

    init(_ disk: MemoryDisk = MemoryDisk()) { self.disk = disk }

    func open() throws -> AuditLog { try AuditLog(path: Self.path, key: Self.key, settings: settings, clock: time.clock, disk: disk) }

    func record(_ kind: AuditRecord.Kind, session: String? = "sesn_1", call: String? = nil) -> AuditRecord {
        AuditRecord(time: "2026-11-23T00:00:00.000000Z", sessionID: session, workID: session.map { _ in "work_1" }, callID: call, kind: kind)
    }

    func intent(_ call: String, session: String = "sesn_1") -> AuditRecord {
        record(.intent(input: .init(digest: String(repeating: "ab", count: 32), bytes: 17)), session: session, call: call)
    }

    func outcome(_ call: String, session: String = "sesn_1") -> AuditRecord {
        let outcome = AuditRecord.Outcome(
            output: .init(digest: String(repeating: "cd", count: 32), bytes: 99), isError: false, producedBytes: 80, offloadedTo: nil, exitCode: 0,
            milliseconds: 12, timedOut: false, reason: nil)
        return record(.outcome(outcome), session: session, call: call)
    }

    func refusal(_ host: String, session: String = "sesn_1") -> AuditRecord {
        record(.egressRefused(.init(id: "r1", host: host, port: 443, method: "CONNECT", rule: nil, decision: "no rule allows it")), session: session)
    }

    /// The files of the log in their order, whole.
    var files: [(name: String, bytes: [UInt8])] {
        let names = (try? AuditPaths(active: Self.path).all(disk)) ?? []
        return names.map { ($0, disk[$0] ?? []) }
    }

    /// Every line that is JSON, in order.
    var lines: [JSON] { files.flatMap { $0.bytes.split(separator: 0x0A).compactMap { try? JSON(parsing: $0) } } }
    var kinds: [String] { lines.compactMap { $0["kind"]?.string } }

    func report(_ options: AuditVerifier.Options = .init()) -> AuditReport { Self.verify(files, options) }

    static func verify(_ files: [(name: String, bytes: [UInt8])], _ options: AuditVerifier.Options = .init()) -> AuditReport {
        var verifier = AuditVerifier(options)
        for file in files {
            verifier.begin(file: file.name)
            verifier.feed(file.bytes[...])
            verifier.end()
        }
        return verifier.finish()
    }
}
