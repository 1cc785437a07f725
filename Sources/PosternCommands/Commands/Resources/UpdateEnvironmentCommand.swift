import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern environments update`
struct UpdateEnvironmentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change an environment; what is not named keeps its value.",
        discussion: "Example: postern environments update env_… --description 'The machines in the basement'")

    @OptionGroup var client: ClientOptions
    @OptionGroup var fields: EnvironmentFields

    @Argument(help: "Its id.")
    var id: String

    func run() async throws {
        let body = try fields.body(isUpdate: true)
        guard !body.isEmpty else { throw ValidationError("nothing to change: give a flag or --file") }
        let environment = try await client.withClient { try await $0.updateEnvironment(id, body) }
        client.show.one(.object(environment))
    }
}
