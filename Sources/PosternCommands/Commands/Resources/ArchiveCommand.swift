import ArgumentParser
import ManagedAgentsClient

/// `postern … archive`
struct ArchiveCommand<Kind: ResourceKind>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "archive", abstract: "Archive one \(Kind.noun); this cannot be undone.",
            discussion: "Example: postern \(Kind.plural) archive ID")
    }

    @OptionGroup var client: ClientOptions

    @Argument(help: "Its id.")
    var id: String

    func run() async throws {
        let resource = try await client.withClient { try await $0.request(.post, Kind.path(id, "/archive")).json() }
        client.show.done("Archived \(Kind.noun) \(id).", resource)
    }
}
