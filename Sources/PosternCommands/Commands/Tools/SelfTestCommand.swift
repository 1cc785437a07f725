import ArgumentParser
import PosternSandbox

/// `postern sandbox selftest`
struct SelfTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "selftest", abstract: "Attack a fresh sandbox from inside and say, boundary by boundary, what held.",
        discussion: """
            The worker does the same at start and claims no work unless every boundary holds. The exit status is 5 when one does not, 125 when no
            sandbox could be made.

            Example: postern sandbox selftest --json
            """)

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    func run() async throws {
        let report: SelfTestReport
        do {
            let scratch = try ScratchFolder("postern-selftest")
            defer { scratch.remove() }
            scratch.openForSearch()
            let spawner = try await Spawner.launch()
            do {
                report = try await SandboxSelfTest(driver: BubblewrapDriver(spawner: spawner), folder: scratch.path).run()
            } catch {
                await spawner.close()
                throw error
            }
            await spawner.close()
        } catch let error as SandboxError {
            throw CommandError(.sandboxFailed, error.message)
        }
        show(report)
        if !report.holds { throw CommandStatus.checkFailed.code }
    }

    private func show(_ report: SelfTestReport) {
        let terminal = Terminal()
        if json { return terminal.print(report.json.indented) }
        for finding in report.findings {
            let mark =
                switch finding.verdict {
                case .holds: terminal.styled("holds     ", .green)
                case .degraded: terminal.styled("degraded  ", .yellow)
                case .fails: terminal.styled("FAILS     ", .red)
                }
            terminal.print(mark + finding.boundary + (finding.detail.isEmpty ? "" : ": \(Terminal.visible(finding.detail))"))
        }
        terminal.print("\(report.holds ? "The sandbox holds." : "The sandbox does not hold.") (\(report.milliseconds) ms)")
    }
}
