import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern workspaces`
struct WorkspacesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workspaces", abstract: "Workspaces, which see nothing of each other.",
        discussion: """
            Agents, environments, sessions and keys are each of one workspace. An admin key of the first one makes others, and keys for them.

            Example: postern workspaces create --name research
            """,
        subcommands: [Create.self, List.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a workspace.",
            discussion: """
                It is empty and has no key yet:

                  postern keys create --workspace wrkspc_… --role admin
                """)

        @OptionGroup var client: ClientOptions

        @Option(name: .long, help: "Its name.")
        var name: String

        func run() async throws {
            client.show.one(
                try await client.withClient { try await $0.request(.post, "/postern/v1/workspaces", body: ["name": .string(name)]).json() })
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the workspaces that the key may act on.", discussion: "Example: postern workspaces list")

        @OptionGroup var client: ClientOptions

        func run() async throws {
            let workspaces = try await client.withClient { try await $0.list("/postern/v1/workspaces") }
            client.show.list(
                workspaces, columns: [.init("id", "id"), .init("name", "name"), .init("created", "created_at")], empty: "There are no workspaces.")
        }
    }
}
