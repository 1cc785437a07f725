import ArgumentParser
import Logging
import PosternAudit
import PosternJSON
import PosternPolicy
import PosternSandbox

/// `postern sandbox selftest`
struct SelfTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "selftest", abstract: "Attack a fresh sandbox from inside and say, boundary by boundary, what held.",
        discussion: """
            The worker does the same at start and claims no work unless every boundary holds; then it does so once more for each different sandbox that
            its policies make, and runs no session of a policy that does not pass. --policy, or the worker's setting of that name, does that here; best as the
            worker's user. The exit status is 5 when a boundary does
            not hold, 125 when no sandbox could be made.

            Example: postern sandbox selftest --policy /etc/postern/policies --json
            """)

    @Option(.policy) var policy: String?

    @Option(
        name: .customLong("state-dir"),
        help: ArgumentHelp(
            "Write the result, signed, into the audit log of the worker with this state folder. Not while it runs: its start does the same.",
            valueName: "folder"))
    var stateDirectory: String?

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    func run() async throws {
        let policies = try loaded()
        let report: SelfTestReport
        var outcomes: [PolicySelfTest.Outcome] = []
        do {
            let scratch = try ScratchFolder("postern-selftest")
            defer { scratch.remove() }
            scratch.openForSearch()
            let spawner = try await Spawner.launch()
            do {
                let driver = try BubblewrapDriver(spawner: spawner)
                report = try await SandboxSelfTest(driver: driver, folder: scratch.path).run()
                outcomes = await PolicySelfTest(driver: driver, denials: MandatoryDenials()).run(policies)
            } catch {
                await spawner.close()
                throw error
            }
            await spawner.close()
        } catch let error as SandboxError {
            throw CommandError(.sandboxFailed, error.message)
        }
        try await record(report, outcomes)
        show(report, outcomes)
        if outcomes.contains(where: { if case .failure = $0.report { true } else { false } }) { throw CommandStatus.sandboxFailed.code }
        if !report.holds || outcomes.contains(where: { $0.failure != nil }) { throw CommandStatus.checkFailed.code }
    }

    private func record(_ report: SelfTestReport, _ outcomes: [PolicySelfTest.Outcome]) async throws {
        guard let folder = stateDirectory.map(TextFile.absolute) else { return }
        guard TextFile.exists(folder) else { throw CommandError(.notFound, "--state-dir: there is no folder \(folder)") }
        var results = BoundaryRecords(requiresAllLayers: false, logger: Logger(label: "selftest") { _ in SwiftLogNoOpLogHandler() })
        results.add(report)
        for outcome in outcomes { results.add(outcome) }
        do throws(FileError) {
            let log = try AuditLog(path: "\(folder)/audit.jsonl", key: try AuditKey.load(path: "\(folder)/audit.key"))
            for record in results.records {
                try await log.append(AuditRecord(time: AuditClock.system.timestamp(), kind: record), durable: true)
            }
            await log.finish()
        } catch {
            throw CommandError(.failure, "the result cannot be recorded: \(error)")
        }
    }

    private func loaded() throws -> [LoadedPolicy] {
        var flags: [String: String] = [:]
        flags[ConfigurationKey.policy.name] = policy
        let configuration = try Configuration(.worker, flags: flags, environment: ProcessEnvironment.current)
        guard let policy = configuration.text(.policy) else { return [] }
        do {
            return try PolicyFiles.load(policy).inForce
        } catch let problems as PolicyProblems {
            throw problems.report(to: Terminal()).code
        }
    }

    private func show(_ report: SelfTestReport, _ outcomes: [PolicySelfTest.Outcome]) {
        let terminal = Terminal()
        if json {
            var object = report.json.object ?? [:]
            if !outcomes.isEmpty { object["policies"] = .array(outcomes.map(Self.json)) }
            return terminal.print(JSON.object(object).indented)
        }
        show(report, terminal)
        for outcome in outcomes {
            terminal.print("")
            terminal.print("Under the policy \(Terminal.visible(outcome.names.joined(separator: ", "))):")
            switch outcome.report {
            case .success(let report): show(report, terminal)
            case .failure(let error): terminal.print(terminal.styled("FAILS     ", .red) + Terminal.visible(error.message))
            }
        }
    }

    private static func json(_ outcome: PolicySelfTest.Outcome) -> JSON {
        var object: JSONObject
        switch outcome.report {
        case .success(let report): object = report.json.object ?? [:]
        case .failure(let error): object = ["type": "sandbox_self_test", "holds": false, "error": .string(error.message)]
        }
        object["names"] = .array(outcome.names.map(JSON.string))
        return .object(object)
    }

    private func show(_ report: SelfTestReport, _ terminal: Terminal) {
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
