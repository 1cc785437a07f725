import ArgumentParser
import PosternConnector
import PosternTunnelWire

/// `postern connector accept`
struct ConnectorAcceptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "accept", abstract: "Say that what a connector refuses calls for is meant.",
        discussion: """
            Without a word, shows what the connector has seen and why it refuses calls. A word is the fingerprint of an authority, the root of a head that forks the
            log, or api for a loosening that nobody signed for. It is written beside the connector's state, and a running connector reads it at its next question.
            Find out first who has registered it, and why.

            Example: postern connector accept --config tunnel/connector.yaml
                     postern connector accept --config tunnel/connector.yaml 5d41…
            """)

    @Option(name: .long, help: "The connector's YAML document.")
    var config: String

    @Argument(help: "What is accepted, as the command shows it without a word.")
    var word: [String] = []

    func run() async throws {
        let files = try ConnectorFiles(config: config)
        guard let pins = try files.registrationPins(config: config), let state = files.registrationState(config: config) else {
            throw CommandError(.configuration, "\(config) has no registrations: the log is not watched, and there is nothing to accept")
        }
        let report = try RegistrationReport(stateFile: state, pins: pins)
        let terminal = Terminal()
        guard !word.isEmpty else {
            for line in report.lines { terminal.print(line) }
            return
        }
        for word in word where !report.words.contains(word) {
            let known = report.words.sorted().joined(separator: ", ")
            throw CommandError(
                .failure, "nothing is refused for \"\(word)\"\(known.isEmpty ? ": there is nothing to accept" : "; what can be accepted: \(known)")")
        }
        let path = state + ".accepted"
        let before = TextFile.exists(path) ? try TextFile.read(path).split(whereSeparator: \.isNewline).map(String.init) : []
        try TextFile.writeSecret((before + word.filter { !before.contains($0) }).joined(separator: "\n"), to: path)
        terminal.print("Accepted \(word.joined(separator: ", ")). A connector that runs takes it up at its next question.")
    }
}
