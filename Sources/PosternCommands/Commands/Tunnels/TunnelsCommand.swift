import ArgumentParser

/// `postern tunnels`
struct TunnelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tunnels", abstract: "Tunnels: private MCP servers, reached through a connector that only dials out.",
        discussion: """
            A tunnel has a domain of its own for ever. Its token lets a connector enrol its key; the certificate authorities that are registered for it
            say which connectors callers believe. The server needs a domain for tunnels: postern serve --tunnel-domain tunnel.example.com

            Example: postern tunnels create --name 'docs of the lab'
                     postern tunnels reveal-token tnl_… --output tunnel.token
                     postern tunnels certificates add tnl_… ca.pem
            """,
        subcommands: [
            CreateTunnelCommand.self, ListCommand<Tunnels>.self, ShowCommand<Tunnels>.self, ArchiveCommand<Tunnels>.self,
            TunnelTokenCommand.Reveal.self, TunnelTokenCommand.Rotate.self, TunnelSettingsCommand.self, TunnelCertificatesCommand.self,
            ClientCertificateCommand.self, TunnelConnectorsCommand.self, ConnectorKeysCommand.self, RegistrationsCommand.self, OwnerKeyCommand.self,
        ])
}
