import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern tunnels create`
struct CreateTunnelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a tunnel.",
        discussion: """
            It takes calls once a certificate authority is registered for it and a connector has enrolled.

            Example: postern tunnels create --name 'docs of the lab'
            """)

    @OptionGroup var client: ClientOptions

    @Option(name: .long, help: "A name to tell it apart in lists.")
    var name: String?

    @Option(name: .long, help: "Who decides that an authority counts: signed (statements, or 24 hours) or api (the API alone).")
    var registration: String?

    @Flag(name: .long, help: "Have the control plane call routes by ids, which tell edges no names; connectors need the route key for that.")
    var hideRoutes = false

    @Option(name: .shortAndLong, help: "YAML or JSON file with the fields of the API; - reads standard input. Flags come over it.")
    var file: String?

    func run() async throws {
        var body = try file.map { path throws(CommandError) in try ResourceFile.body(from: path) } ?? [:]
        if let name { body["display_name"] = .string(name) }
        if let registration { body["registration"] = .string(registration) }
        if hideRoutes { body["hide_routes"] = true }
        let sent = body
        client.show.one(try await client.withClient { try await $0.request(.post, "/v1/tunnels", body: .object(sent)).json() })
    }
}
