import ArgumentParser
import ManagedAgentsClient
import PosternJSON
import PosternTunnelWire

/// `postern tunnels certificates`
struct TunnelCertificatesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certificates", abstract: "The certificate authorities by which callers know a tunnel's connectors.",
        discussion: """
            Two can be registered at once, so that one takes over from the other without a call being lost.

            Example: postern tunnels certificates add tnl_… ca.pem
            """,
        subcommands: [Add.self, List.self, Archive.self])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Register a certificate authority.",
            discussion: """
                The file holds exactly one CA certificate in PEM. A file that holds a private key as well is refused before anything is sent.

                Example: postern tunnels certificates add tnl_… ca.pem
                """)

        @OptionGroup var client: ClientOptions

        @Argument(help: "The tunnel's id.")
        var tunnel: String

        @Argument(help: "PEM file with the CA certificate; - reads standard input.")
        var file: String

        func run() async throws {
            let pem = try TextFile.read(file)
            do { try AuthorityRules.onlyCertificate(in: pem) } catch { throw CommandError(.failure, "\(file): \(error); nothing was sent") }
            client.show.one(
                try await client.withClient {
                    try await $0.request(.post, Tunnels.path(tunnel, "/certificates"), body: ["ca_certificate_pem": .string(pem)]).json()
                })
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List a tunnel's certificate authorities.", discussion: "Example: postern tunnels certificates list tnl_… --archived")

        @OptionGroup var client: ClientOptions

        @Argument(help: "The tunnel's id.")
        var tunnel: String

        @Flag(name: .long, help: "Archived ones too.")
        var archived = false

        func run() async throws {
            let certificates = try await client.withClient { api in
                var query = RequestQuery()
                if archived { query.add("include_archived", true) }
                return try await api.list(Tunnels.path(tunnel, "/certificates"), query: query)
            }
            client.show.list(
                certificates,
                columns: [
                    .init("id", "id"), .init("fingerprint", "fingerprint"), .init("expires", "expires_at"), .init("archived", "archived_at"),
                ], empty: "There are none, so the tunnel takes no calls; add one with: postern tunnels certificates add \(tunnel) ca.pem")
        }
    }

    struct Archive: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Archive a certificate authority: nothing that it signed is believed any more.",
            discussion: "Example: postern tunnels certificates archive tnl_… tcrt_…")

        @OptionGroup var client: ClientOptions

        @Argument(help: "The tunnel's id.")
        var tunnel: String

        @Argument(help: "The certificate's id.")
        var certificate: String

        func run() async throws {
            let answer = try await client.withClient {
                try await $0.request(.post, Tunnels.path(tunnel, "/certificates/\(PercentEncoding.encode(certificate))/archive")).json()
            }
            client.show.done("Archived certificate \(certificate).", answer)
        }
    }
}
