import ArgumentParser
import ManagedAgentsClient

/// `postern … delete`
struct DeleteCommand<Kind: ResourceKind>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "delete", abstract: "Delete one \(Kind.noun) and all that belongs to it; this cannot be undone.",
            discussion: "Example: postern \(Kind.plural) delete ID")
    }

    @OptionGroup var client: ClientOptions

    @Argument(help: "Its id.")
    var id: String

    func run() async throws {
        let answer = try await client.withClient { try await $0.request(.delete, Kind.path(id)).json() }
        client.show.done("Deleted \(Kind.noun) \(id).", answer)
    }
}
