import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern sessions events`
struct SessionEventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Print a session's event log.",
        discussion: """
            As text, what people want to see; with --json, every event, one a line.

            Example: postern sessions events sesn_… --json --type agent.tool_use
            """)

    @OptionGroup var client: ClientOptions

    @Option(name: .long, help: "Only events of this type. May be repeated.")
    var type: [String] = []

    @Option(name: .long, help: "How many at most.")
    var limit: Int?

    @Argument(help: "The session's id.")
    var id: String

    func run() async throws {
        var query: RequestQuery = ["limit": "1000"]
        query.add("types", list: type)
        let events = try await client.withClient { try await $0.list("/v1/sessions/\(id)/events", query: query, limit: limit ?? .max) }
        let terminal = Terminal()
        var renderer = SessionRenderer(terminal: terminal, resultLines: .max)
        for event in events { terminal.put(client.json ? event.text + "\n" : renderer.render(event)) }
    }
}
