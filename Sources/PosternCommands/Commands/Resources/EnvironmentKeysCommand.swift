import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern environments keys`
struct EnvironmentKeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "The keys that let workers serve an environment.",
        discussion: "Example: postern environments keys create env_… --output env.key",
        subcommands: [Create.self, List.self, Revoke.self])

    static let columns: [Show.Column] = [
        .init("id", "id"), .init("name", "name"), .init("hint", "hint"), .init("created", "created_at"), .init("expires", "expires_at"),
        .init("revoked", "revoked_at"),
    ]

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key and print it once.",
            discussion: """
                Standard output holds nothing but the key; --output writes it straight into a file that a worker reads:

                  postern environments keys create env_… --output env.key
                """)

        @OptionGroup var client: ClientOptions
        @OptionGroup var fields: KeyFields

        @Argument(help: "The environment's id.")
        var environment: String

        func run() async throws {
            try fields.checkOutput()
            let key = try await client.withClient { api in try await api.createEnvironmentKey(environment: environment, try fields.body()) }
            try KeyAnswer.show(.object(key), client.show, output: fields.output)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List an environment's keys, without their secrets.", discussion: "Example: postern environments keys list env_…")

        @OptionGroup var client: ClientOptions

        @Argument(help: "The environment's id.")
        var environment: String

        func run() async throws {
            let keys = try await client.withClient { try await $0.list("/postern/v1/environments/\(environment)/keys") }
            client.show.list(
                keys, columns: EnvironmentKeysCommand.columns,
                empty: "There are no keys; make one with: postern environments keys create \(environment)")
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a key: its workers' polls, streams and leases end within a second.",
            discussion: "Example: postern environments keys revoke env_… ekey_…")

        @OptionGroup var client: ClientOptions

        @Argument(help: "The environment's id.")
        var environment: String

        @Argument(help: "The key's id.")
        var key: String

        func run() async throws {
            let answer = try await client.withClient { try await $0.request(.delete, "/postern/v1/environments/\(environment)/keys/\(key)").json() }
            client.show.done("Revoked \(key).", answer)
        }
    }
}
