import NIOCore
import PosternConnector
import PosternTunnelLink

/// Ends TLS in front of an edge, as a load balancer does, with a certificate of its own for the edge's name; what it can read it leaves alone.
enum TerminatingRelay {
    /// Runs `body` beside it, with its port.
    static func run(_ world: TunnelWorld, _ leaf: ConnectorCertificates.Made, _ body: @escaping @Sendable (_ port: Int) async throws -> Void)
        async throws
    {
        try await TLSServer.run(leaf, serve: { try await relay($0, world) }, body)
    }

    private static func relay(_ client: ByteStream, _ world: TunnelWorld) async throws {
        let edge = try await TunnelClient.dial(world.port)
        defer { edge.close() }
        try await TunnelClient.outer(edge, world)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await pass(client, edge) }
            group.addTask { await pass(edge, client) }
        }
    }

    private static func pass(_ from: ByteStream, _ to: ByteStream) async {
        while let bytes = try? await from.read() {
            guard (try? await to.write(bytes)) != nil else { break }
        }
        from.close()
        to.close()
    }
}
