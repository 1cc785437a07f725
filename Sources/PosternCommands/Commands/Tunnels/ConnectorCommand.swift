import ArgumentParser

/// `postern connector`
struct ConnectorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connector", abstract: "Run the end of a tunnel inside a network, in front of private MCP servers.",
        discussion: """
            A connector dials out to an edge and nothing dials in. Calls come to it through inner TLS that only it can open, from runtimes whose
            certificate names the tunnel.

            Example: postern connector setup --folder tunnel --edge edge.example.com:443 --edge-name tunnel.example.com --route docs=http://10.0.0.7:8080
                     postern connector run --config tunnel/connector.yaml
            """,
        subcommands: [
            ConnectorSetupCommand.self, ConnectorRenewCommand.self, ConnectorRunCommand.self, ConnectorCheckCommand.self,
            ConnectorDoctorCommand.self, ConnectorPinCommand.self, ConnectorSignCommand.self, ConnectorAcceptCommand.self,
        ])
}
