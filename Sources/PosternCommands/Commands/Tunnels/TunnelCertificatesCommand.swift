import ArgumentParser
import ManagedAgentsClient
import PosternConnector
import PosternJSON
import PosternTunnelWire

/// `postern tunnels certificates`
struct TunnelCertificatesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certificates", abstract: "The certificate authorities by which callers know a tunnel's connectors.",
        discussion: """
            Two can be registered at once, so that one takes over from the other without a call being lost. The first counts at once; another one counts at once
            with a statement of one that counts or of the owner key, and else after 24 hours.

            Example: postern tunnels certificates add tnl_… ca.pem
            """,
        subcommands: [Add.self, Endorse.self, List.self, Archive.self])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Register a certificate authority.",
            discussion: """
                The file holds exactly one CA certificate in PEM. A file that holds a private key as well is refused before anything is sent.

                Example: postern tunnels certificates add tnl_… ca.pem
                         postern tunnels certificates add tnl_… ca2.pem --owner-key-file owner.key
                """)

        @OptionGroup var client: ClientOptions

        @Argument(help: "The tunnel's id.")
        var tunnel: String

        @Argument(help: "PEM file with the CA certificate; - reads standard input.")
        var file: String

        @Option(name: .long, help: "File with a statement that `postern connector sign` has made.")
        var statement: String?

        @Option(name: .long, help: "PEM file of the owner key, or of an authority's that counts, with which a statement is made here.")
        var ownerKeyFile: String?

        func validate() throws {
            guard statement == nil || ownerKeyFile == nil else { throw ValidationError("give --statement or --owner-key-file, not both") }
        }

        func run() async throws {
            let pem = try TextFile.read(file)
            do { try AuthorityRules.onlyCertificate(in: pem) } catch { throw CommandError(.failure, "\(file): \(error); nothing was sent") }
            var body: JSONObject = ["ca_certificate_pem": .string(pem)]
            if let statement { body["statement"] = try RegistrationSigning.read(statement).json }
            if let ownerKeyFile {
                body["statement"] = try RegistrationSigning.sign(
                    tunnel: tunnel, .certificate, subject: try ConnectorCertificates.fingerprint(certificatePEM: pem), keyFile: ownerKeyFile
                ).json
            }
            let sent = JSON.object(body)
            let (added, known) = try await client.withClient { api in
                let added = try await api.request(.post, Tunnels.path(tunnel, "/certificates"), body: sent).json()
                return (added, try await api.list(Tunnels.ownPath(tunnel, "/certificates")))
            }
            client.show.one(added)
            if let waiting = known.first(where: { $0["id"] == added["id"] && $0["counts"]?.bool == false }) {
                client.show.terminal.note(
                    "Nobody who counts has signed for it: callers are given it from \(waiting["counts_at"]?.string ?? "later") on. End the wait with a "
                        + "statement: postern connector sign, and then postern tunnels certificates endorse.")
            }
        }
    }

    struct Endorse: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let an authority that waits count now, by a statement.",
            discussion: """
                Example: postern connector sign --tunnel tnl_… --key-file owner.key --authority ca2.pem > statement.json
                         postern tunnels certificates endorse tnl_… tcrt_… --statement statement.json
                """)

        @OptionGroup var client: ClientOptions

        @Argument(help: "The tunnel's id.")
        var tunnel: String

        @Argument(help: "The certificate's id.")
        var certificate: String

        @Option(name: .long, help: "File with a statement that `postern connector sign` has made.")
        var statement: String

        func run() async throws {
            let body = JSON.object(["statement": try RegistrationSigning.read(statement).json])
            client.show.one(
                try await client.withClient {
                    try await $0.request(
                        .post, Tunnels.ownPath(tunnel, "/certificates/\(PercentEncoding.encode(certificate))/endorse"), body: body
                    ).json()
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
