import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern environments create`
struct CreateEnvironmentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a self-hosted environment.", discussion: "Example: postern environments create --name build-farm")

    @OptionGroup var client: ClientOptions
    @OptionGroup var fields: EnvironmentFields

    func run() async throws {
        var body = try fields.body(isUpdate: false)
        guard body["name"] != nil else { throw ValidationError("an environment needs --name, or a --file with one") }
        if body["config"] == nil { body["config"] = ["type": "self_hosted"] }
        let environment = try await client.withClient { try await $0.createEnvironment(body) }
        client.show.one(.object(environment))
    }
}

/// The fields of an environment that have flags.
struct EnvironmentFields: ParsableArguments {
    @OptionGroup var options: BodyOptions

    @Option(name: .long, help: "Its name; no two environments have the same.")
    var name: String?

    @Option(name: .long, help: "What it is for.")
    var description: String?

    enum Redelivery: String, ExpressibleByArgument, CaseIterable {
        case atMostOnce = "at_most_once"
        case atLeastOnce = "at_least_once"
    }

    @Option(name: .long, help: "What becomes of a call whose worker was lost: reported as unknown, or run again.")
    var redelivery: Redelivery?

    func body(isUpdate: Bool) throws -> JSONObject {
        var options = options
        if let redelivery { options.metadata.append("postern.redelivery=\(redelivery.rawValue)") }
        return try options.body([("name", name.map(JSON.string)), ("description", description.map(JSON.string))], isUpdate: isUpdate)
    }
}
