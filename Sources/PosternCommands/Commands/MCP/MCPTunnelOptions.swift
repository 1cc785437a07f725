import ArgumentParser
import PosternMCP

extension TunnelRoute.Way: ExpressibleByArgument {}

/// How a server behind a tunnel is reached: through the tunnel's edge, without DNS for its name.
struct MCPTunnelOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The folder of `postern tunnels client-certificate issue`: a URL under that tunnel's domain is dialled through its edge.",
            valueName: "folder"))
    var certificate: String?

    @Option(name: .long, help: ArgumentHelp("Where the edge is, in place of what the folder's tunnel.json says.", valueName: "host[:port]"))
    var edge: String?

    @Option(
        name: [.customLong("edge-ca"), .customLong("edge-ca-file")],
        help: ArgumentHelp("PEM file of the only authorities that the edge's certificate is checked against.", valueName: "file"))
    var edgeCA: String?

    @Option(name: .long, help: "How the edge is asked: by CONNECT in TLS to the edge, or by splicing, where the tunnel allows it.")
    var via = TunnelRoute.Way.connect

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Show the edge this API key in place of the certificate. The edge can use it as you can: only for an edge of your own.", valueName: "file"
        ))
    var apiKeyFile: String?

    func validate() throws {
        if certificate == nil {
            guard edge == nil, edgeCA == nil, apiKeyFile == nil, via == .connect else {
                throw ValidationError("--edge, --edge-ca, --via and --api-key-file go with --certificate FOLDER")
            }
        }
        if let edge, EdgeAddress(edge) == nil {
            throw ValidationError("--edge must be written HOST or HOST:PORT, an IPv6 address in brackets, not \"\(edge)\"")
        }
        guard via == .connect || edgeCA == nil && apiKeyFile == nil else {
            throw ValidationError("--edge-ca and --api-key-file are for --via connect: by splicing nothing is asked of the edge")
        }
    }

    /// Whether the server is behind a tunnel.
    var isGiven: Bool { certificate != nil }
}
