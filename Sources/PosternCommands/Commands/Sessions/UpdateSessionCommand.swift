import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern sessions update`
struct UpdateSessionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change a session's title or metadata, or by --file its tools and MCP servers.",
        discussion: "Example: postern sessions update sesn_… --title 'Release notes' --metadata ticket=41")

    @OptionGroup var client: ClientOptions
    @OptionGroup var options: BodyOptions

    @Option(name: .long, help: "A title for lists.")
    var title: String?

    @Argument(help: "Its id.")
    var id: String

    func run() async throws {
        let body = try options.body([("title", title.map(JSON.string))], isUpdate: true)
        guard !body.isEmpty else { throw ValidationError("nothing to change: give a flag or --file") }
        let session = try await client.withClient { try await $0.updateSession(id, body) }
        client.show.one(.object(session))
    }
}
