import ArgumentParser
import PosternJSON

/// `postern doctor`
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Say what this machine can do for Postern, with a remedy for each thing missing.",
        discussion: """
            Looks at the kernel, namespaces, bubblewrap, seccomp, Landlock, cgroups, disk, clock and the base URL, and starts a sandbox once.
            The exit status is 5 when something that a worker needs is missing.

            Example: postern doctor --base-url https://postern.example.com
            """)

    @OptionGroup var service: ServiceOptions

    @Option(.workdir) var workdir: String?

    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false

    @Flag(name: .long, help: "Leave the base URL alone: look at this machine only.")
    var offline = false

    func run() async throws {
        let environment = ProcessEnvironment.current
        var findings = await SandboxChecks.all()
        findings += MachineChecks.all(folder: workdir ?? ConfigurationKey.workdir.fallback ?? ".")
        if !offline {
            let configuration = try Configuration(.client, flags: service.flags, environment: environment)
            findings += await ServiceChecks.all(
                baseURL: try configuration.required(.clientBaseURL), caFile: configuration.text(.clientCAFile),
                proxy: configuration.text(.clientProxy))
        }
        print(findings)
        if findings.contains(where: { $0.verdict == .missing }) { throw CommandStatus.checkFailed.code }
    }

    private func print(_ findings: [Finding]) {
        let terminal = Terminal()
        if json { return terminal.print(JSON.array(findings.map(\.json)).indented) }
        for finding in findings {
            let mark =
                switch finding.verdict {
                case .good: terminal.styled("ok       ", .green)
                case .limited: terminal.styled("limited  ", .yellow)
                case .missing: terminal.styled("missing  ", .red)
                }
            terminal.print("\(mark)\(finding.subject): \(finding.detail)")
            if let remedy = finding.remedy { terminal.print("         → " + remedy.replacing("\n", with: "\n           ")) }
        }
    }
}
