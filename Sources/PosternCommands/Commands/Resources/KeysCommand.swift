import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern keys`
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "API keys, each with a role.",
        discussion: """
            admin: everything, keys and tunnels included; developer: agents, environments, sessions; viewer: reads only; edge: what an edge asks, for
            every workspace, and nothing else. A key is of one workspace and sees nothing of another; an admin key of the first workspace makes keys
            for all of them, and it alone makes those of edges. A key is revoked, never changed or archived.

            Example: postern keys create --name ci --role developer
            """,
        subcommands: [Create.self, List.self, ShowCommand<Keys>.self, Revoke.self])

    /// The workspace of other keys than one's own.
    struct WorkspaceOption: ParsableArguments {
        @Option(name: .long, help: ArgumentHelp("The workspace; by default the one of the key that asks.", valueName: "id"))
        var workspace: String?
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an API key and print it once.", discussion: "Example: postern keys create --role viewer --output viewer.key")

        @OptionGroup var client: ClientOptions
        @OptionGroup var fields: KeyFields
        @OptionGroup var place: WorkspaceOption

        enum Role: String, ExpressibleByArgument, CaseIterable { case admin, developer, viewer, edge }

        @Option(name: .long, help: "What it may do (default: developer).")
        var role: Role?

        func run() async throws {
            try fields.checkOutput()
            var body = try fields.body()
            if let role { body["role"] = .string(role.rawValue) }
            if body["role"] == nil { body["role"] = .string(Role.developer.rawValue) }
            if body["name"] == nil { body["name"] = body["role"] }
            if let workspace = place.workspace { body["workspace_id"] = .string(workspace) }
            let key = try await client.withClient { try await $0.request(.post, "/postern/v1/keys", body: .object(body)).json() }
            try KeyAnswer.show(key, client.show, output: fields.output)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the API keys, without their secrets.", discussion: "Example: postern keys list")

        @OptionGroup var client: ClientOptions
        @OptionGroup var place: WorkspaceOption

        func run() async throws {
            let keys = try await client.withClient { api in
                var query = RequestQuery()
                if let workspace = place.workspace { query.add("workspace_id", workspace) }
                return try await api.list("/postern/v1/keys", query: query)
            }
            client.show.list(keys, columns: Keys.columns, empty: "There are no keys.")
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
