import ArgumentParser
import ManagedAgentsClient
import PosternAudit
import PosternJSON

/// `postern audit reconcile`
struct ReconcileAuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reconcile", abstract: "Compare a session's audit records with the control plane's event log.",
        discussion: """
            Finds calls that only one side knows, inputs that were changed on the way in and results that were changed on the way out.
            Contents are compared with the worker's digest key, which stands beside the log; without it, only that they are there.
            The exit status is 5 when something cannot have come about by a crash.

            Example: postern audit reconcile sesn_… --state-dir /var/lib/postern-worker
            """)

    @OptionGroup var client: ClientOptions
    @OptionGroup var log: AuditLogOptions

    @Option(name: .long, help: ArgumentHelp("The worker's digest key. (default: audit.key beside the log)", valueName: "file"))
    var digestKeyFile: String?

    @Argument(help: "The session's id.")
    var id: String

    func run() async throws {
        let reader = try log.reader()
        let file = digestKeyFile.map(TextFile.absolute) ?? AuditKey.path(beside: reader.path)
        let key: AuditKey?
        do throws(FileError) { key = try SmallFile.read(file).map { AuditKey(bytes: $0) } } catch {
            throw CommandError(.failure, error.description)
        }
        if key == nil, digestKeyFile != nil { throw CommandError(.notFound, "\(file) does not exist") }

        var reconciler = AuditReconciler(session: id, key: key)
        // The log first: what it holds by then has happened, and the control plane may only know more.
        let report = try reader.verify(.init(allowsPartial: true)) { line, _ in reconciler.take(record: line) }
        if let finding = report.finding { throw CommandError(finding) }
        for event in try await client.withClient({ try await $0.list("/v1/sessions/\(id)/events", query: ["limit": "1000"]) }) {
            reconciler.take(event: event)
        }
        let result = reconciler.finish()
        show(result)
        if result.violations > 0 { throw CommandStatus.checkFailed.code }
    }

    private func show(_ result: ReconcileReport) {
        let terminal = Terminal()
        if client.json { return terminal.print(result.json.indented) }
        for finding in result.findings {
            terminal.print(
                (finding.isViolation ? terminal.styled("differs  ", .red) : terminal.styled("note     ", .yellow))
                    + "\(finding.call): \(finding.what)")
        }
        terminal.print(
            "\(result.agreeing) of \(result.calls) calls agree; \(result.violations) differ, \(result.notes) notes "
                + "(\(result.intents) intents, \(result.outcomes) outcomes, \(result.results) results)")
        if !result.comparesContent { terminal.note("There is no digest key: inputs and results were not compared.") }
    }
}
