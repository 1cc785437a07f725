import ArgumentParser
import PosternJSON

/// `postern connector doctor`
struct ConnectorDoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Walk the way of a call, step by step, and say where it breaks and what helps.",
        discussion: """
            For each edge: DNS, proxy, TCP, outer TLS, registration, clock. Then the server certificate by the rules that callers hold it to, and whom callers
            have to trust. For each route: callers, address policy, TCP and TLS of the upstream, and its MCP server: revision, name, tools, and the tools that
            the policy pins. Nothing is called.

            It can be used before the connector runs, and beside one that does: it opens a leg with a name of its own, which takes no calls, and ends it. A key
            that is not enrolled yet is enrolled by the token, as a first start does. The exit status is 0 when every step holds, and 5 when one fails.

            Example: postern connector doctor --config tunnel/connector.yaml
                     postern connector doctor --config tunnel/connector.yaml --route docs --json
            """)

    @Option(name: .long, help: "The connector's YAML document.")
    var config: String

    @Option(name: .long, help: "Look at this route only. May be repeated.")
    var route: [String] = []

    @Option(name: .long, help: "The longest for each step, in seconds, such as 10s.")
    var timeout = StepTime(seconds: 10)

    @Option(name: .customLong("ca-file"), help: "The tunnel's CA certificate; ca.pem beside the document where it is not given.")
    var authorityFile: String?

    @Option(name: .long, help: "Path of the MCP endpoints at the upstreams.")
    var mcpPath = "/mcp"

    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false

    func validate() throws {
        guard mcpPath.hasPrefix("/") else { throw ValidationError("--mcp-path must begin with a slash") }
    }

    func run() async throws {
        let terminal = Terminal()
        var findings: [StepFinding] = []
        for await finding in ConnectorDoctor(
            config: config, routes: route, authorityFile: authorityFile, mcpPath: mcpPath, timeout: timeout.duration
        ).findings() {
            findings.append(finding)
            if !json { for line in finding.lines(terminal) { terminal.print(line) } }
        }
        let isGood = !findings.contains { $0.verdict == .failed }
        if json { terminal.print(JSON.object(["ok": .bool(isGood), "steps": .array(findings.map(\.json))]).indented) }
        guard isGood else { throw CommandStatus.checkFailed.code }
    }
}

/// A whole number of seconds: `10`, `10s`.
struct StepTime: ExpressibleByArgument {
    let duration: Duration

    init(seconds: Int) { duration = .seconds(seconds) }

    init?(argument: String) {
        let kind = ConfigurationKey.Kind.seconds(1...300)
        guard kind.problem(with: argument) == nil, let seconds = kind.number(in: argument) else { return nil }
        duration = .seconds(seconds)
    }

    var defaultValueDescription: String { "\(duration.components.seconds)s" }
}
