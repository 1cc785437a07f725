import Logging
import NIOPosix
import PosternConnector
import ServiceLifecycle
import UnixSignals

/// Brings changes of a connector's document, and of the files that it names, into the connector that runs: when one of them changes, and on SIGHUP.
struct ConnectorReloads: Service {
    let config: String
    let connector: Connector
    /// What the connector was started with.
    let started: ConnectorFiles
    /// Starts the servers of routes with a command; `nil` where there was none at the start.
    let children: SandboxedChildren?
    /// `nil` where the log of registrations is not watched.
    let watcher: RegistrationWatcher?
    let seen: [String: FileStamp?]
    let metrics: ConnectorMetrics
    let logger: Logger

    /// How often files are looked at. A change counts when the next look finds nothing newer, so that what is written in several files, or in
    /// several pieces, is read once.
    static let interval = Duration.milliseconds(500)

    private enum Wake: Sendable { case look, signal }

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        let (wakes, wake) = AsyncStream<Wake>.makeStream(bufferingPolicy: .bufferingNewest(4))
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in signals { wake.yield(.signal) } }
            group.addTask {
                while (try? await Task.sleep(for: Self.interval)) != nil { wake.yield(.look) }
            }
            group.addTask { await follow(wakes) }
            // Ends with the connector.
            try? await gracefulShutdown()
            group.cancelAll()
            wake.finish()
        }
    }

    private func follow(_ wakes: AsyncStream<Wake>) async {
        var (known, pending) = (seen, seen)
        var own = started.own
        for await wake in wakes {
            if wake == .look {
                let now = await stamps(Array(known.keys))
                guard now != known else {
                    pending = known
                    continue
                }
                // Still being written, it may be.
                guard now == pending else {
                    pending = now
                    continue
                }
            }
            let (result, now) = await read(known)
            known = now
            pending = now
            switch result {
            case .success(let files): await take(files, &own)
            case .failure(let error): refuse("\(error)")
            }
        }
    }

    /// - Parameter own: the connector's files by the reading that is in force.
    private func take(_ files: ConnectorFiles, _ own: inout [String]) async {
        let (old, new) = (started.configuration, files.configuration)
        // Both files are held open by this run.
        guard old.auditFile == new.auditFile, old.budgetsFile == new.budgetsFile else {
            return refuse("audit.file and budgets.file cannot change while the connector runs: start it again")
        }
        // A watch that begins anew has seen nothing.
        guard old.registrations == new.registrations, old.identity.knownKeys == new.identity.knownKeys else {
            return refuse("registrations and identity.known_keys cannot change while the connector runs: start it again")
        }
        let steps = ReloadSteps(
            keep: { try children?.keep(from: $0) }, connector: { try await connector.reload(new, files.material) },
            watcher: { try watcher?.reload(new, files.material) })
        switch await steps.run(from: own, to: files.own) {
        case .refused(let reason): refuse(reason)
        case .inForce(let left):
            own = files.own
            metrics.reloaded(left.isEmpty ? .inForce : .partly)
            for reason in left { logger.error("a part of the changed configuration is not in force", metadata: ["reason": "\(reason)"]) }
        }
    }

    private func refuse(_ reason: String) {
        metrics.reloaded(.refused)
        logger.error("the changed configuration is refused, the one before it stays in force", metadata: ["reason": "\(reason)"])
    }

    /// Blocking calls, which have no place on the threads of tasks.
    private func stamps(_ paths: [String]) async -> [String: FileStamp?] {
        let read = { @Sendable () -> [String: FileStamp?] in Dictionary(uniqueKeysWithValues: paths.map { ($0, TextFile.stamp($0)) }) }
        return (try? await NIOThreadPool.singleton.runIfActive(read)) ?? [:]
    }

    private func read(_ known: [String: FileStamp?]) async -> (Result<ConnectorFiles, any Error>, [String: FileStamp?]) {
        let config = config
        let read = { @Sendable () -> (Result<ConnectorFiles, any Error>, [String: FileStamp?]) in
            var seen: [String: FileStamp?] = [:]
            do {
                return (.success(try ConnectorFiles(config: config, seen: &seen)), seen)
            } catch {
                // What was not come to is looked at as before.
                return (.failure(error), known.merging(seen) { $1 })
            }
        }
        do { return try await NIOThreadPool.singleton.runIfActive(read) } catch { return (.failure(error), known) }
    }
}
