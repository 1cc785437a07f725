import ArgumentParser
import ManagedAgentsClient
import PosternJSON
import PosternMCP
import PosternTLS
import PosternTunnelWire

/// `postern tunnels client-certificate`
struct ClientCertificateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client-certificate", abstract: "Certificates with which curl and other HTTPS clients call through a tunnel.",
        discussion: "Example: postern tunnels client-certificate issue tnl_… --client my-laptop --output certificate", subcommands: [Issue.self])

    struct Issue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key here and get a short-lived certificate for it.",
            discussion: """
                The key is made on this machine and stays on it: only a certificate signing request is sent. The folder gets key.pem, certificate.pem,
                authorities.pem, by which the client knows the tunnel's connectors, and tunnel.json, which tells `postern mcp --certificate` where
                the tunnel's edge is. The certificate opens one tunnel, and of it the named routes.

                Example: postern tunnels client-certificate issue tnl_… \\
                           --client my-laptop --route docs --ttl 8h --output mine
                         curl --cert mine/certificate.pem --key mine/key.pem \\
                           --cacert mine/authorities.pem https://docs.…/mcp
                """)

        @OptionGroup var client: ClientOptions

        @Argument(help: "The tunnel's id.")
        var tunnel: String

        @Option(name: .customLong("client"), help: "A name for who calls, for the connector's policy and audit log.")
        var name: String

        @Option(name: .long, help: "A route that the certificate opens; without any it opens all. May be repeated.")
        var route: [String] = []

        @Option(name: .long, help: ArgumentHelp("How long it is valid, from 1m to 24h.", valueName: "time"))
        var ttl = "1h"

        @Option(
            name: .long,
            help: ArgumentHelp("Where the edge is, for tunnel.json; without it the tunnels' domain, port 443.", valueName: "host[:port]"))
        var edge: String?

        @Option(name: .long, help: "The name in the edge's certificate, where it is not the tunnels' domain.")
        var edgeName: String?

        @Option(name: .long, help: "PEM file of the authority of the edge's certificate, where it is a private one; it is copied to the folder.")
        var edgeCAFile: String?

        @Flag(
            name: .long,
            help:
                "Fetch the tunnel's route key too, so that callers show the edge ids in place of routes' names, in the certificate too; connectors need it as well."
        )
        var hideRoutes = false

        @Option(name: .shortAndLong, help: "Folder for the files, made with mode 0700 if it is missing.")
        var output: String

        func run() async throws {
            let range = ClientCertificateLifetime.kind
            guard let seconds = range.number(in: ttl), range.problem(with: ttl) == nil else {
                throw ValidationError("--ttl \(range.problem(with: ttl) ?? "is not a time")")
            }
            if let edge, EdgeAddress(edge) == nil {
                throw ValidationError("--edge must be written HOST or HOST:PORT, an IPv6 address in brackets, not \"\(edge)\"")
            }
            if let edgeName, HostName.canonical(edgeName) == nil { throw ValidationError("--edge-name is no host name") }
            if hideRoutes, let wrong = route.first(where: { !TunnelHost.isRoute($0) }) {
                throw ValidationError("--route \"\(wrong)\" can be no route's name: give it as the connector's document has it")
            }
            let edgeAuthority = try edgeCAFile.map { try TextFile.read($0) }
            try TextFile.makeFolder(output)
            try TextFile.checkWritable(output + "/key.pem", option: "--output")
            let request = try RuntimeRequest()
            let (answer, routeKey) = try await client.withClient { client in
                let routeKey = hideRoutes ? try await Tunnels.routeKey(of: tunnel, client) : nil
                // The edge is shown the certificate as well.
                let shown = routeKey.map { key in route.map { key.id(of: $0) } } ?? route
                let body: JSONObject = [
                    "csr_pem": .string(request.pem), "client": .string(name), "routes": .array(shown.map(JSON.string)), "ttl_seconds": JSON(seconds),
                ]
                return (try await client.request(.post, Tunnels.ownPath(tunnel, "/client_certificates"), body: .object(body)).json(), routeKey)
            }
            guard let certificate = answer["certificate_pem"]?.string, let expiry = answer["expires_at"]?.string else {
                throw CommandError(.failure, "the answer holds no certificate")
            }
            // Before the certificate, and taken away after it: the key with a certificate of names opens what they name, the other way round nothing.
            if let routeKey { try TextFile.writeSecret(routeKey.text, to: output + "/" + TunnelFolder.routeKeyFile) }
            try TextFile.writeSecret(request.keyPEM, to: output + "/key.pem")
            try TextFile.writeSecret(certificate, to: output + "/certificate.pem")
            let authorities = answer["ca_certificates_pem"]?.array?.compactMap(\.string) ?? []
            try TextFile.writeSecret(authorities.joined(separator: "\n"), to: output + "/authorities.pem")
            if let domain = answer["domain"]?.string.flatMap(HostName.canonical) {
                let folder = TunnelFolder.Description(id: tunnel, domain: domain, edge: edge.flatMap { EdgeAddress($0) }, edgeName: edgeName)
                try TextFile.writeSecret(JSON.object(folder.json).text, to: output + "/" + TunnelFolder.descriptionFile)
            }
            if routeKey == nil { TextFile.remove(output + "/" + TunnelFolder.routeKeyFile) }
            if let edgeAuthority { try TextFile.writeSecret(edgeAuthority.trimmingSpaces, to: output + "/" + TunnelFolder.edgeAuthorityFile) }
            if authorities.isEmpty {
                client.show.terminal.note("No certificate authority is registered for the tunnel, so it takes no calls yet.")
            }
            client.show.done("Wrote key.pem, certificate.pem, authorities.pem and tunnel.json to \(output); valid until \(expiry).", answer)
        }
    }
}

/// How long a certificate may be valid.
private enum ClientCertificateLifetime {
    static let kind = ConfigurationKey.Kind.seconds(60...86_400)
}
