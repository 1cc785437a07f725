import PosternJSON
import PosternMCP
import Synchronization

/// A server that answers by a closure, and keeps what it was asked.
final class FakeLink: MCPLink {
    typealias Answer = @Sendable (LinkRequest, @Sendable (JSONRPCMessage) async -> Void) async throws(MCPError) -> LinkAnswer
    /// Gets what is to be called when it begins to tell, and what hears.
    typealias Listening = @Sendable (@Sendable () async -> Void, @Sendable (JSONRPCMessage) async -> Void) async throws(MCPError) -> Void

    let medium: Negotiation.Medium
    let origin = "https://fake"
    private let answer: Answer
    private let listening: Listening?
    private let log = Mutex<[String]>([])

    /// - Parameter listen: unless given, one change of the tools is told, and no more.
    init(_ medium: Negotiation.Medium = .http, _ answer: @escaping Answer, listen: Listening? = nil) {
        self.medium = medium
        self.answer = answer
        listening = listen
    }

    /// Methods, in their order; notifications and the end of the session too.
    var asked: [String] { log.withLock { $0 } }

    func exchange(_ request: LinkRequest, hear: @escaping @Sendable (JSONRPCMessage) async -> Void) async throws(MCPError) -> LinkAnswer {
        log.withLock { $0.append(request.method) }
        return try await answer(request, hear)
    }

    func post(_ message: JSONRPCMessage, _ context: WireContext) async throws(MCPError) {
        if case .notification(let method, _) = message { log.withLock { $0.append(method) } }
    }

    func listen(
        _ context: WireContext, begun: @escaping @Sendable () async -> Void, hear: @escaping @Sendable (JSONRPCMessage) async -> Void
    ) async throws(MCPError) {
        if let listening { return try await listening(begun, hear) }
        await begun()
        await hear(.notification(method: "notifications/tools/list_changed", params: nil))
        throw .notOffered("more")
    }

    func end(_ context: WireContext) async { log.withLock { $0.append("end \(context.sessionID ?? "")") } }
}

extension MCPClient.Options {
    static var test: Self { MCPClient.Options(identity: Implementation(name: "test", version: "1")) }
}

/// What a server of each era says of itself.
enum Hello {
    static let modern = LinkAnswer(
        result: ["supportedVersions": ["2026-07-28"], "capabilities": ["tools": ["listChanged": true]], "resultType": "complete"])

    static func handshake(_ version: String = "2025-11-25", session: String? = nil) -> LinkAnswer {
        LinkAnswer(
            result: [
                "protocolVersion": .string(version), "capabilities": ["tools": ["listChanged": true]], "serverInfo": ["name": "s", "version": "1"],
            ], sessionID: session)
    }

    static func unknown(_ method: String) -> MCPError { .server(RPCError(code: RPCError.methodNotFound, message: "no \(method)")) }
}
