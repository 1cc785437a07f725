import ArgumentParser
import ManagedAgentsClient
import PosternJSON
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
                The key is made on this machine and stays on it: only a certificate signing request is sent. The folder gets key.pem, certificate.pem
                and authorities.pem, by which the client knows the tunnel's connectors. The certificate opens one tunnel, and of it the named routes.

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

        @Option(name: .shortAndLong, help: "Folder for the files, made with mode 0700 if it is missing.")
        var output: String

        func run() async throws {
            let range = ClientCertificateLifetime.kind
            guard let seconds = range.number(in: ttl), range.problem(with: ttl) == nil else {
                throw ValidationError("--ttl \(range.problem(with: ttl) ?? "is not a time")")
            }
            try TextFile.makeFolder(output)
            try TextFile.checkWritable(output + "/key.pem", option: "--output")
            let request = try RuntimeRequest()
            let body: JSONObject = [
                "csr_pem": .string(request.pem), "client": .string(name), "routes": .array(route.map(JSON.string)), "ttl_seconds": JSON(seconds),
            ]
            let answer = try await client.withClient {
                try await $0.request(.post, Tunnels.ownPath(tunnel, "/client_certificates"), body: .object(body)).json()
            }
            guard let certificate = answer["certificate_pem"]?.string, let expiry = answer["expires_at"]?.string else {
                throw CommandError(.failure, "the answer holds no certificate")
            }
            try TextFile.writeSecret(request.keyPEM, to: output + "/key.pem")
            try TextFile.writeSecret(certificate, to: output + "/certificate.pem")
            let authorities = answer["ca_certificates_pem"]?.array?.compactMap(\.string) ?? []
            try TextFile.writeSecret(authorities.joined(separator: "\n"), to: output + "/authorities.pem")
            if authorities.isEmpty {
                client.show.terminal.note("No certificate authority is registered for the tunnel, so it takes no calls yet.")
            }
            client.show.done("Wrote key.pem, certificate.pem and authorities.pem to \(output); valid until \(expiry).", answer)
        }
    }
}

/// How long a certificate may be valid.
private enum ClientCertificateLifetime {
    static let kind = ConfigurationKey.Kind.seconds(60...86_400)
}
