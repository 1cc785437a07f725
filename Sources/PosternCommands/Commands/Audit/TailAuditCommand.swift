import ArgumentParser
import PosternAudit
import UnixSignals

/// `postern audit tail`
struct TailAuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Show the last records, and with --follow those that come.",
        discussion: """
            Nothing is checked here; that is what verify is for. With --json, the lines as they stand in the log.

            Example: postern audit tail --follow --kind egress_refused
            """)

    @OptionGroup var log: AuditLogOptions
    @OptionGroup var filter: AuditFilter

    @Option(name: [.customShort("n"), .long], help: "How many.")
    var lines = 20

    @Flag(name: .shortAndLong, help: "Stay, and show what comes, until Ctrl-C.")
    var follow = false

    @Flag(name: .long, help: "Print JSON, for programs: one record a line.")
    var json = false

    func validate() throws {
        guard (0...100_000).contains(lines) else { throw ValidationError("--lines must be between 0 and 100000, not \(lines)") }
    }

    func run() async throws {
        let reader = try log.reader()
        let end = try reader.last(1) { _ in true }.first?.line.seq ?? 0
        if lines > 0 { for (line, bytes) in try reader.last(lines, where: { $0.seq <= end && filter.takes($0) }) { show(line, bytes) } }
        if follow { try await stay(AuditTail(path: reader.path, after: end)) }
    }

    private func stay(_ tail: AuditTail) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
            group.addTask {
                var tail = tail
                try await tail.run { line, bytes in if filter.takes(line) { show(line, bytes) } }
            }
            group.addTask { for await _ in signals { return } }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func show(_ line: AuditLine, _ bytes: [UInt8]) {
        let terminal = Terminal()
        terminal.print(json ? String(decoding: bytes, as: UTF8.self) : AuditLineRenderer(terminal: terminal).render(line))
    }
}
