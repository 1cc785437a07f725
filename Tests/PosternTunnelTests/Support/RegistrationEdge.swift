import NIOCore
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire

/// An edge with the right certificate that answers questions for registrations as a test says.
enum RegistrationEdge {
    /// Runs `body` beside it, with its port.
    static func run(
        _ world: TunnelWorld, serve: @escaping @Sendable (ByteStream, RegistrationRequest) async throws -> Void,
        _ body: @escaping @Sendable (_ port: Int) async throws -> Void
    ) async throws {
        try await TLSServer.run(world.edgeAuthority.leaf, serve: { try await answer($0, serve) }, body)
    }

    private static func answer(_ stream: ByteStream, _ serve: @Sendable (ByteStream, RegistrationRequest) async throws -> Void) async throws {
        var reader = MessageReader(stream)
        guard let lines = try await reader.head(idle: .seconds(10), whole: .seconds(10)) else { return }
        try await serve(stream, try RegistrationRequest(try RequestHead(lines: lines)))
    }
}
