import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern tunnels reveal-token` and `rotate-token`
enum TunnelTokenCommand {
    struct Reveal: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "reveal-token", abstract: "Show the token with which connectors enrol their keys.",
            discussion: """
                Standard output holds nothing but the token; --output writes it straight into a file that a connector reads:

                  postern tunnels reveal-token tnl_… --output tunnel.token
                """)

        @OptionGroup var client: ClientOptions
        @OptionGroup var destination: Destination

        @Argument(help: "The tunnel's id.")
        var tunnel: String

        func run() async throws {
            try destination.check()
            let token = try await client.withClient { try await $0.request(.post, Tunnels.path(tunnel, "/reveal_token")).json() }
            try destination.write(token, client.show)
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rotate-token", abstract: "Replace the token and show the new one.",
            discussion: """
                The old token enrols nothing from now on. Connectors whose keys are enrolled stay connected: their keys are what they prove. Where the
                token was in wrong hands, --revoke-keys ends every key that is enrolled, and with it its legs and calls, within a second; each
                connector then needs a new key ("postern connector setup" makes one where connector.key was removed) and the new token.

                Example: postern tunnels rotate-token tnl_… --reason 'was in a log' --revoke-keys --output tunnel.token
                """)

        @OptionGroup var client: ClientOptions
        @OptionGroup var destination: Destination

        @Argument(help: "The tunnel's id.")
        var tunnel: String

        @Option(name: .long, help: "Why, for whoever reads the record later.")
        var reason: String?

        @Flag(name: .long, help: "Revoke every connector key that is enrolled, which cuts what runs. They never enrol for this tunnel again.")
        var revokeKeys = false

        func run() async throws {
            try destination.check()
            var body: JSONObject = [:]
            if let reason { body["reason"] = .string(reason) }
            let sent = body
            let token = try await client.withClient {
                try await $0.request(.post, Tunnels.path(tunnel, "/rotate_token"), body: .object(sent)).json()
            }
            // After that: the old token enrols none of them again. A token that is not shown then can be revealed.
            if revokeKeys { try await revoke() }
            try destination.write(token, client.show)
        }

        private func revoke() async throws {
            let tunnel = tunnel
            let revoked = try await client.withClient { client in
                let live = try await client.list(Tunnels.ownPath(tunnel, "/connector_keys")).filter { $0["revoked_at"] == .null }
                for key in live.compactMap({ $0["id"]?.string }) {
                    _ = try await client.request(.post, Tunnels.ownPath(tunnel, "/connector_keys/\(PercentEncoding.encode(key))/revoke")).json()
                }
                return live.count
            }
            client.show.terminal.note("Revoked \(revoked) connector keys.")
        }
    }

    /// Where the token goes.
    struct Destination: ParsableArguments {
        @Option(name: .shortAndLong, help: "Write the token to this file, readable by its owner only, instead of printing it.")
        var output: String?

        /// Before the token is asked for: a rotated one whose file cannot be written would have to be revealed again.
        func check() throws(CommandError) {
            guard let output else { return }
            try TextFile.checkWritable(output, option: "--output")
        }

        func write(_ answer: JSON, _ show: Show) throws {
            guard let token = answer["tunnel_token"]?.string else { throw CommandError(.failure, "the answer holds no token") }
            if let output {
                try TextFile.writeSecret(token, to: output)
                var shown = answer.object ?? [:]
                shown["tunnel_token"] = nil
                return show.done("Wrote the token \(answer["id"]?.string ?? "") to \(output).", .object(shown))
            }
            if show.asJSON { return show.terminal.print(answer.indented) }
            show.terminal.print(token)
        }
    }
}
