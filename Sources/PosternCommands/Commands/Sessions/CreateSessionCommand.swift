import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern sessions create`
struct CreateSessionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a session, with a first message or without.",
        discussion: "Example: postern sessions create --agent agent_… --environment env_… --message 'Look around.'")

    @OptionGroup var client: ClientOptions
    @OptionGroup var fields: SessionFields

    @Option(name: .long, help: "A first message, which starts the session.")
    var message: String?

    func run() async throws {
        var body = try fields.body(isUpdate: false)
        if let message { body["initial_events"] = [UserMessage.event(message)] }
        let session = try await client.withClient { try await $0.createSession(body) }
        client.show.one(.object(session))
    }
}

/// The fields of a new session that have flags.
struct SessionFields: ParsableArguments {
    @OptionGroup var options: BodyOptions

    @Option(name: .long, help: "The agent's id.")
    var agent: String?

    @Option(name: .long, help: "The version of the agent; without it, the newest.")
    var agentVersion: Int?

    @Option(name: .long, help: "The environment's id.")
    var environment: String?

    @Option(name: .long, help: "A title for lists.")
    var title: String?

    func body(isUpdate: Bool) throws -> JSONObject {
        var agent = agent.map(JSON.string)
        if let id = self.agent, let agentVersion { agent = ["type": "agent", "id": .string(id), "version": JSON(agentVersion)] }
        let body = try options.body(
            [("agent", agent), ("environment_id", environment.map(JSON.string)), ("title", title.map(JSON.string))], isUpdate: isUpdate)
        if !isUpdate, body["agent"] == nil || body["environment_id"] == nil {
            throw ValidationError("a session needs --agent and --environment, or a --file with agent and environment_id")
        }
        return body
    }
}

enum UserMessage {
    static func event(_ text: String) -> JSON { ["type": "user.message", "content": [["type": "text", "text": .string(text)]]] }

    /// The message's text: the arguments joined, or standard input for `-`.
    static func text(_ arguments: [String]) throws -> String {
        let text = arguments == ["-"] ? try TextFile.read("-") : arguments.joined(separator: " ")
        guard !text.trimmingSpaces.isEmpty else { throw ValidationError("the message is empty") }
        return text
    }
}
