import ManagedAgentsClient
import PosternMCP
import PosternTLS
import PosternTunnelWire

/// The server behind a tunnel that a URL and a certificate's folder name, and the way to it.
struct MCPTunnelTarget {
    let endpoint: MCPEndpoint
    /// The same by https, which is what a tunnel carries, however its URL is written.
    let resource: MCPEndpoint
    /// Without the route key, which comes with the credentials.
    let route: TunnelRoute
    let credentials: FolderCredentials

    init(_ options: MCPTunnelOptions, folder: String, url: String) throws(CommandError) {
        // Inner TLS is all that a tunnel carries: http:// is dialled no otherwise than https://.
        do {
            endpoint = try MCPEndpoint(url, allowsPlainHTTP: true)
            resource = try MCPEndpoint("https://\(endpoint.base.writtenHost)\(endpoint.target)")
        } catch {
            throw CommandError(.configuration, "\(error)")
        }
        let tunnel = try TunnelFolder.Description(folder: folder)
        guard let host = HostName.canonical(endpoint.base.host).flatMap({ TunnelHost($0) }), host.domain == tunnel.domain else {
            throw CommandError(
                .configuration,
                "the certificate in \(folder) is for hosts like ROUTE.\(tunnel.domain), not for \(endpoint.base.host); leave out --certificate for others"
            )
        }
        guard endpoint.base.port == (endpoint.base.isTLS ? 443 : 80) else {
            throw CommandError(.configuration, "a tunnel has no ports: leave out :\(endpoint.base.port)")
        }
        let stored = "\(folder)/\(TunnelFolder.edgeAuthorityFile)"
        let file = options.edgeCA ?? (TextFile.exists(stored) ? stored : nil)
        route = TunnelRoute(
            host: host,
            edge: TunnelRoute.Edge(
                addresses: [options.edge.flatMap { EdgeAddress($0) } ?? tunnel.edge], name: tunnel.edgeName,
                authorities: try file.map { file throws(CommandError) in try TextFile.read(file) }),
            way: options.via)
        let apiKey = try options.apiKeyFile.map { file throws(CommandError) in Secret(try TextFile.readSecret(file)) }
        credentials = try FolderCredentials(folder, apiKey: apiKey)
    }
}
