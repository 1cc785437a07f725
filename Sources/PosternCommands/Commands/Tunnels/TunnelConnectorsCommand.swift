import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern tunnels connectors`
struct TunnelConnectorsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connectors", abstract: "List the legs that a tunnel's connectors hold, as the edges last reported them.",
        discussion: "Example: postern tunnels connectors tnl_…")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The tunnel's id.")
    var tunnel: String

    func run() async throws {
        let legs = try await client.withClient { try await $0.list(Tunnels.ownPath(tunnel, "/connectors")) }
        client.show.list(
            legs,
            columns: [
                .init("edge", "edge"), .init("connector key", "connector_key"), .init("version", "version"), .init("since", "since"),
                .init("streams", "streams"), .init("in", "bytes_in"), .init("out", "bytes_out"), .init("seen", "last_seen_at"),
                .init("certificate days", "certificate_days_left"),
            ], empty: "No edge has reported a leg of this tunnel in the last 90 seconds.")
    }
}

/// `postern tunnels connector-keys`
struct ConnectorKeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connector-keys", abstract: "The keys by which edges know a tunnel's connectors.",
        discussion: "Example: postern tunnels connector-keys revoke tnl_… FINGERPRINT", subcommands: [List.self, Revoke.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List a tunnel's keys, revoked ones included.", discussion: "Example: postern tunnels connector-keys list tnl_…")

        @OptionGroup var client: ClientOptions

        @Argument(help: "The tunnel's id.")
        var tunnel: String

        func run() async throws {
            let keys = try await client.withClient { try await $0.list(Tunnels.ownPath(tunnel, "/connector_keys")) }
            client.show.list(
                keys, columns: [.init("fingerprint", "id"), .init("enrolled", "enrolled_at"), .init("revoked", "revoked_at")],
                empty: "No connector has enrolled.")
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a key: its legs end within a second, and no token enrols it for this tunnel again.",
            discussion: "Example: postern tunnels connector-keys revoke tnl_… FINGERPRINT")

        @OptionGroup var client: ClientOptions

        @Argument(help: "The tunnel's id.")
        var tunnel: String

        @Argument(help: "The key's fingerprint.")
        var fingerprint: String

        func run() async throws {
            let answer = try await client.withClient {
                try await $0.request(.post, Tunnels.ownPath(tunnel, "/connector_keys/\(PercentEncoding.encode(fingerprint))/revoke")).json()
            }
            client.show.done("Revoked \(fingerprint).", answer)
        }
    }
}
