import ArgumentParser
import ManagedAgentsClient

/// `postern … list`
struct ListCommand<Kind: ResourceKind>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "list", abstract: "List the \(Kind.plural), newest first.", discussion: "Example: postern \(Kind.plural) list --limit 5")
    }

    @OptionGroup var client: ClientOptions

    @Option(name: .long, help: "How many at most.")
    var limit = 100

    @Flag(name: .long, help: "Archived ones too.")
    var archived = false

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit must be at least 1") }
    }

    func run() async throws {
        let resources = try await client.withClient { api in
            var query: RequestQuery = ["limit": String(min(limit, 100))]
            if archived { query.add("include_archived", true) }
            return try await api.list(RequestPath(verbatim: Kind.path), query: query, limit: limit)
        }
        client.show.list(resources, columns: Kind.columns, empty: "There are no \(Kind.plural).")
    }
}
