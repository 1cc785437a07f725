import ArgumentParser
import PosternAudit
import PosternJSON

/// `postern audit stats`
struct AuditStatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Count what the log holds: kinds, sessions, tools, denials, secret uses.",
        discussion: "Example: postern audit stats --session sesn_…")

    @OptionGroup var log: AuditLogOptions

    @Option(name: .long, help: "Only records of this session.")
    var session: String?

    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false

    func run() async throws {
        var statistics = AuditStatistics()
        var kinds: [String: Int] = [:]
        let report = try log.reader().verify(.init(allowsPartial: true)) { line, _ in
            guard session == nil || line.session == session else { return }
            kinds[line.kind, default: 0] += 1
            statistics.take(line)
        }
        let terminal = Terminal()
        if json {
            var object = statistics.json.object ?? [:]
            object["type"] = "audit_stats"
            object["kinds"] = .object(JSONObject(kinds.sorted { $0.key < $1.key }.map { ($0.key, JSON($0.value)) }))
            object["log"] = report.json
            terminal.print(JSON.object(object).indented)
        } else {
            terminal.print(
                "\(report.records) records in \(report.files) files, \(report.firstTime ?? "") to \(report.lastTime ?? ""); root key \(report.rootKey ?? "not read")"
            )
            show("KINDS", kinds, terminal)
            show("TOOLS", statistics.tools, terminal)
            show("SESSIONS", statistics.sessions, terminal)
            show("DENIALS", statistics.denials, terminal)
            show("FILE DENIALS", statistics.fileDenials, terminal)
            show("SECRET USES", statistics.secrets, terminal)
            terminal.print(
                "\(statistics.failedCalls) calls failed; egress \(statistics.egressBytesSent) bytes out, \(statistics.egressBytesReceived) in")
        }
        if let finding = report.finding { throw CommandError(finding) }
    }

    private func show(_ title: String, _ counts: [String: Int], _ terminal: Terminal) {
        guard !counts.isEmpty else { return }
        var table = Table([title, "COUNT"])
        for (name, count) in AuditStatistics.top(counts, 20) { table.add([Terminal.visible(name), "\(count)"]) }
        for line in table.lines { terminal.print(line) }
    }
}
