import Logging
import ManagedAgentsClient
import PosternAudit
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What the audit is told of one item that a launcher serves: what its script is given, before it starts, and how that ended.
final class LaunchRecords: Sendable {
    private let audit: AuditLog
    private let item: WorkItem
    private let timestamp: @Sendable () -> String
    /// Fires when this worker cannot record what it does.
    private let unrecordable: FailureSignal
    private let logger: Logger
    private let hasBegun = Mutex(false)

    init(audit: AuditLog, item: WorkItem, timestamp: @escaping @Sendable () -> String, unrecordable: FailureSignal, logger: Logger) {
        self.audit = audit
        self.item = item
        self.timestamp = timestamp
        self.unrecordable = unrecordable
        self.logger = logger
    }

    /// The script is about to start; when this returns, that and every key that it gets are on the disk.
    /// - Parameters:
    ///   - agent: of the session.
    ///   - environmentKey: where the script gets it.
    func begin(_ script: String, agent: String?, environmentKey: Secret?) async throws(FileError) {
        let digest = try await Blocking.run { [key = audit.key] () throws(FileError) in
            let file = open(script, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            guard file >= 0 else { return String?.none }
            defer { close(file) }
            return key.digest(.input, file: file)
        }
        hasBegun.withLock { $0 = true }
        let launcher = AuditRecord.Launcher(path: script, digest: digest)
        try await append(
            .sessionStarted(
                AuditRecord.SessionStart(
                    agentID: agent, environmentID: item.environmentID, workspaceMode: nil, isResumed: false, launcher: launcher)))
        for (name, key) in [("work secret", item.secret), ("environment key", environmentKey)] {
            guard let key else { continue }
            try await append(.keyUsed(name: "\(name) \(audit.key.fingerprint(key.value))", purpose: "handed to the launcher's script"))
        }
    }

    /// - Parameter script: how it ended, if it did by itself or by a signal of this worker's.
    func end(_ end: LauncherMachine.End, script: LauncherMachine.ScriptEnd?) async {
        guard hasBegun.withLock({ $0 }) else { return }
        // What it says may come from outside; a record has its bound.
        try? await append(.sessionStopped(reason: String("\(end.word); \(Self.word(script))".prefix(2000))))
    }

    private static func word(_ script: LauncherMachine.ScriptEnd?) -> String {
        switch script {
        case .exited(let status): "the script ended with status \(status)"
        case .signalled(let signal): "the script was ended by signal \(signal)"
        case .notStarted: "the script did not start"
        case nil: "the script was killed"
        }
    }

    private func append(_ kind: AuditRecord.Kind) async throws(FileError) {
        do throws(FileError) {
            try await audit.append(AuditRecord(time: timestamp(), sessionID: item.sessionID, workID: item.id, kind: kind), durable: true)
        } catch {
            logger.error("audit: \(error)")
            // What cannot be recorded is not launched, and no other session either.
            if error.session == nil { unrecordable.fire("\(error)") }
            throw error
        }
    }
}
