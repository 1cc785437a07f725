import ArgumentParser
import PosternPolicy
import PosternTunnelWire

/// `postern connector setup`
struct ConnectorSetupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Make a connector's keys and certificates here, and register their public parts.",
        discussion: """
            Safe to run again: what is there and still good is kept, and a server certificate that ends within 30 days is made anew. Keys are made on this
            machine, written with mode 0600, and never leave it; the tunnel's CA key (ca.key) can be moved off this machine until the next renewal.

            With a PKI of your own no CA is made: --csr writes server.csr, which your CA signs directly; then --server-certificate and --server-ca take
            the certificate, held to the rules of docs/tunnels.md, and register the CA's public part. The same two steps renew it.

            Example: postern connector setup --folder tunnel --edge edge.example.com:443 --edge-name tunnel.example.com --route docs=http://10.0.0.7:8080
                     postern connector setup --folder tunnel --tunnel tnl_… --edge edge.example.com:443 --edge-name tunnel.example.com
                     postern connector setup --folder tunnel --csr --edge edge.example.com:443 --route docs=http://10.0.0.7:8080
                     postern connector setup --folder tunnel --server-certificate server-signed.pem --server-ca ca.pem
            """)

    @OptionGroup var client: ClientOptions

    @Option(name: .long, help: "Folder for the connector's files; made if need be.")
    var folder: String

    @Option(name: .long, help: "Id of the tunnel; without it the folder's tunnel is taken, or one is created.")
    var tunnel: String?

    @Option(name: .long, help: "Display name for a tunnel that is created.")
    var displayName: String?

    @Option(name: .long, help: "Address of an edge, HOST:PORT. May be repeated.")
    var edge: [String] = []

    @Option(name: .long, help: "The name in the edges' certificate; the tunnel's parent domain where none is given.")
    var edgeName: String?

    @Option(name: .long, help: "PEM file of the authority of the edges' certificate, where the system does not know it.")
    var edgeCAFile: String?

    @Option(
        name: .long,
        help: "NAME=URL of an MCP server, such as docs=http://10.0.0.7:8080. May be repeated; nobody may call it until \"callers\" are named.")
    var route: [String] = []

    @Flag(name: .long, help: "Write a signing request for the server certificate (server.csr), for a CA of your own, instead of making a CA.")
    var csr = false

    @Option(name: .long, help: "PEM file of the server certificate that your CA has made of server.csr.")
    var serverCertificate: String?

    @Option(name: .customLong("server-ca"), help: "PEM file of your CA's certificate, which has signed it itself; its public part is registered.")
    var serverCA: String?

    func validate() throws {
        guard (serverCertificate == nil) == (serverCA == nil) else { throw ValidationError("--server-certificate and --server-ca go together") }
        guard !csr || serverCertificate == nil else {
            throw ValidationError("--csr asks for the certificate that --server-certificate brings; give one")
        }
    }

    func run() async throws {
        let folder = TextFile.absolute(folder)
        var setup = ConnectorSetup(folder: folder, terminal: Terminal())
        setup.edges = try edge.map { text in
            do { return try Authority(text, defaultPort: 443).description } catch { throw ConfigurationError("--edge: \(error)") }
        }
        setup.edgeName = edgeName
        setup.edgeCAFile = edgeCAFile.map { TextFile.absolute($0) }
        setup.routes = try route.map { text in
            let parts = text.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, TunnelHost.isRoute(String(parts[0])) else {
                throw ConfigurationError("--route \(text): write NAME=http://host:port")
            }
            return (String(parts[0]), String(parts[1]))
        }
        if csr { setup.source = .requested }
        if let serverCertificate, let serverCA { setup.source = .given(certificate: serverCertificate, authority: serverCA) }
        let (tunnel, displayName, made) = (tunnel, displayName, setup)
        try await client.withClient { try await made.run(tunnel: tunnel, displayName: displayName, client: $0) }
    }
}
