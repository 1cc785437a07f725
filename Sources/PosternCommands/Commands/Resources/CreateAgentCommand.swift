import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern agents create`
struct CreateAgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create an agent.",
        discussion: """
            Without a file that says otherwise, the agent gets the toolset that a worker serves: bash, read, write, edit, glob, grep.

            Example: postern agents create --name helper --model claude-sonnet-4-5 --system 'You are brief.'
            """)

    @OptionGroup var client: ClientOptions
    @OptionGroup var fields: AgentFields

    @Flag(name: .long, inversion: .prefixedNo, help: "Give it the toolset that a worker serves.")
    var tools = true

    func run() async throws {
        var body = try fields.body(isUpdate: false)
        if body["tools"] == nil, tools { body["tools"] = [["type": "agent_toolset_20260401"]] }
        guard body["name"] != nil, body["model"] != nil else { throw ValidationError("an agent needs --name and --model, or a --file with both") }
        let agent = try await client.withClient { try await $0.createAgent(body) }
        client.show.one(.object(agent))
    }
}

/// The fields of an agent that have flags.
struct AgentFields: ParsableArguments {
    @OptionGroup var options: BodyOptions

    @Option(name: .long, help: "Its name.")
    var name: String?

    @Option(name: .long, help: "The model's id, as the model service calls it.")
    var model: String?

    @Option(name: .long, help: "The system prompt.")
    var system: String?

    @Option(name: .long, help: "What it is for.")
    var description: String?

    func body(isUpdate: Bool) throws -> JSONObject {
        try options.body(
            [
                ("name", name.map(JSON.string)), ("model", model.map(JSON.string)), ("system", system.map(JSON.string)),
                ("description", description.map(JSON.string)),
            ], isUpdate: isUpdate)
    }
}
