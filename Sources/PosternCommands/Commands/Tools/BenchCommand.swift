import ArgumentParser
import PosternJSON

/// `postern bench`: rows of scripts/bench that are measured in one process. For contributors, so it is hidden.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure one part in this process.", discussion: "Example: postern bench store", shouldDisplay: false)

    enum Part: String, ExpressibleByArgument, CaseIterable { case sandbox, store, audit, redaction }

    @Argument(help: "What is measured.")
    var part: Part

    @Flag(name: .long, help: "Fewer samples.")
    var quick = false

    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false

    func run() async throws {
        let rows =
            switch part {
            case .sandbox: try await SandboxBench(isQuick: quick).rows()
            case .store: try await StoreBench(isQuick: quick).rows()
            case .audit: try await AuditBench(isQuick: quick).rows()
            case .redaction: try RedactionBench(isQuick: quick).rows()
            }
        let terminal = Terminal()
        if json { return terminal.print(JSON.object(["rows": .array(rows.map(\.json))]).text) }
        for row in rows { terminal.print(row.line) }
    }
}
