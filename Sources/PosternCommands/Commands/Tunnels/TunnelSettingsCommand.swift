import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern tunnels settings`
struct TunnelSettingsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "Show or change what edges do for a tunnel.",
        discussion: """
            With --splice, an edge passes TLS connections for the tunnel's domain to a connector as they come, without looking at who calls: any HTTPS
            client that holds a client certificate can then call. Without it, callers ask the edge with a credential first.

            Example: postern tunnels settings tnl_… --splice
            """)

    @OptionGroup var client: ClientOptions

    @Argument(help: "The tunnel's id.")
    var tunnel: String

    @Flag(name: .long, inversion: .prefixedNo, help: "Whether edges splice connections for the tunnel's domain.")
    var splice: Bool?

    func run() async throws {
        let body = splice.map { JSON.object(["splice": .bool($0)]) }
        client.show.one(
            try await client.withClient { try await $0.request(body == nil ? .get : .post, Tunnels.ownPath(tunnel, "/settings"), body: body).json() })
    }
}
