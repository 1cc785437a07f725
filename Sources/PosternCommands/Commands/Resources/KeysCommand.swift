import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern keys`
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "API keys, each with a role.",
        discussion: """
            admin: everything, keys included; developer: agents, environments, sessions; viewer: reads only.

            Example: postern keys create --name ci --role developer
            """,
        subcommands: [Create.self, List.self, Revoke.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an API key and print it once.", discussion: "Example: postern keys create --role viewer --output viewer.key")

        @OptionGroup var client: ClientOptions
        @OptionGroup var fields: KeyFields

        enum Role: String, ExpressibleByArgument, CaseIterable { case admin, developer, viewer }

        @Option(name: .long, help: "What it may do.")
        var role = Role.developer

        func run() async throws {
            try fields.checkOutput()
            var body = fields.body()
            body["role"] = .string(role.rawValue)
            if body["name"] == nil { body["name"] = .string(role.rawValue) }
            let key = try await client.withClient { try await $0.request(.post, "/postern/v1/keys", body: .object(body)).json() }
            try KeyAnswer.show(key, client.show, output: fields.output)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the API keys, without their secrets.", discussion: "Example: postern keys list")

        @OptionGroup var client: ClientOptions

        func run() async throws {
            let keys = try await client.withClient { try await $0.list("/postern/v1/keys") }
            var columns = EnvironmentKeysCommand.columns
            columns.insert(.init("role", "role"), at: 2)
            client.show.list(keys, columns: columns, empty: "There are no keys.")
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke an API key: its requests and streams end within a second.", discussion: "Example: postern keys revoke apikey_…")

        @OptionGroup var client: ClientOptions

        @Argument(help: "The key's id.")
        var key: String

        func run() async throws {
            let answer = try await client.withClient { try await $0.request(.delete, "/postern/v1/keys/\(key)").json() }
            client.show.done("Revoked \(key).", answer)
        }
    }
}
