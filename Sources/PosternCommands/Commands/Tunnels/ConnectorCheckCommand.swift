import ArgumentParser
import PosternConnector
import PosternTunnelWire

/// `postern connector check`
struct ConnectorCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Read a connector's configuration, keys and certificates without starting it.",
        discussion: "Example: postern connector check --config tunnel/connector.yaml")

    @Option(name: .long, help: "The connector's YAML document.")
    var config: String

    func run() async throws {
        let files = try ConnectorFiles(config: config)
        let terminal = Terminal()
        let configuration = files.configuration
        terminal.print("tunnel \(configuration.tunnel.id), \(configuration.legs) legs to \(configuration.edges.name)")
        terminal.print("connector key \(files.material.key.fingerprint)")
        terminal.print("server certificate valid until \(files.material.serverExpires)")
        let isWatched = try files.registrationPins(config: config) != nil
        terminal.print(isWatched ? "the tunnel's registrations are watched" : "the tunnel's registrations are not watched: write registrations")
        for (name, route) in configuration.routes.sorted(by: { $0.key < $1.key }) {
            let callers = route.callers.isNobody ? "nobody may call it" : "callers are named"
            let policy = route.policy.map { $0.mode == .enforce ? ", under a policy" : ", under a policy that only records" } ?? ""
            terminal.print("route \(name): \(route.upstream), \(callers)\(policy)")
        }
    }
}
