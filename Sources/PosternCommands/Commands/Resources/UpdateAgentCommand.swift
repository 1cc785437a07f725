import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern agents update`
struct UpdateAgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change an agent, which makes a new version of it.",
        discussion: """
            What is not named keeps its value. With --if-version the change is refused when somebody else has changed the agent since.

            Example: postern agents update agent_… --system 'You are very brief.'
            """)

    @OptionGroup var client: ClientOptions
    @OptionGroup var fields: AgentFields

    @Option(name: .long, help: "The version that is to be changed.")
    var ifVersion: Int?

    @Argument(help: "Its id.")
    var id: String

    func run() async throws {
        var body = try fields.body(isUpdate: true)
        if let ifVersion { body["version"] = JSON(ifVersion) }
        guard !body.isEmpty else { throw ValidationError("nothing to change: give a flag or --file") }
        let agent = try await client.withClient { try await $0.updateAgent(id, body) }
        client.show.one(.object(agent))
    }
}
