import ArgumentParser
import ManagedAgentsClient
import PosternJSON
import PosternTunnelWire

/// `postern tunnels settings`
struct TunnelSettingsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "Show or change what edges and the control plane do for a tunnel.",
        discussion: """
            With --splice, an edge passes TLS connections for the tunnel's domain to a connector as they come, without looking at who calls: any HTTPS
            client that holds a client certificate can then call. Without it, callers ask the edge with a credential first.

            With --hide-routes, the control plane calls the routes of agents by ids, so that no edge learns their names; by names it does not call them any
            more, within 5 seconds. Every connector of the tunnel needs the route key first: `postern connector setup` fetches it to route.key, and
            tunnel.route_key_file in the connector's document names it.

            --registration says who decides that an authority counts: signed, where one that counts or the owner has to sign for another, or 24 hours pass;
            api, where the API alone does. Going to api takes a statement (`postern connector sign --registration api`) or 24 hours.

            Example: postern tunnels settings tnl_… --splice
            """)

    @OptionGroup var client: ClientOptions

    @Argument(help: "The tunnel's id.")
    var tunnel: String

    @Flag(name: .long, inversion: .prefixedNo, help: "Whether edges splice connections for the tunnel's domain.")
    var splice: Bool?

    @Flag(name: .long, inversion: .prefixedNo, help: "Whether the control plane calls routes by ids, which tell edges no names.")
    var hideRoutes: Bool?

    @Option(name: .long, help: "signed or api.")
    var registration: String?

    @Option(name: .long, help: "File with a statement that `postern connector sign` has made, for --registration api.")
    var statement: String?

    func run() async throws {
        var members: JSONObject = [:]
        if let splice { members["splice"] = .bool(splice) }
        if let hideRoutes { members["hide_routes"] = .bool(hideRoutes) }
        if let registration { members["registration"] = .string(registration) }
        if let statement { members["statement"] = try RegistrationSigning.read(statement).json }
        let body = members.isEmpty ? nil : JSON.object(members)
        client.show.one(
            try await client.withClient { try await $0.request(body == nil ? .get : .post, Tunnels.ownPath(tunnel, "/settings"), body: body).json() })
    }
}
