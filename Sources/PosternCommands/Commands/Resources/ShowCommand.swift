import ArgumentParser
import ManagedAgentsClient

/// `postern … show`
struct ShowCommand<Kind: ResourceKind>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: "show", abstract: "Show one \(Kind.noun).", discussion: "Example: postern \(Kind.plural) show ID --json")
    }

    @OptionGroup var client: ClientOptions

    @Argument(help: "Its id.")
    var id: String

    func run() async throws {
        client.show.one(try await client.withClient { try await $0.request(.get, Kind.path(id)).json() })
    }
}
