import PosternJSON
import Synchronization

/// Passes what a caller asks over stdio to another MCP server, of whatever revision that is, and its answers back.
package final class MCPBridge: PipeServerHandler {
    private let client: MCPClient
    private let name: String
    /// Of whoever waits for notices that the server does not send at the moment.
    private let pause: Duration
    private let opening = Mutex<Result<Void, MCPError>?>(nil)

    /// - Parameters:
    ///   - name: of the server behind, for errors; no secret.
    ///   - pause: how long it is waited before a server is listened to again that could not be reached for that.
    package init(to client: MCPClient, name: String, pause: Duration = .seconds(30)) {
        (self.client, self.name, self.pause) = (client, name, pause)
    }

    /// Why the server behind could not be opened, where it never could.
    package var failure: MCPError? {
        opening.withLock { opening in
            if case .failure(let error)? = opening { error } else { nil }
        }
    }

    package func describe(for revision: Revision) async throws(RPCError) -> ServerProfile {
        do throws(MCPError) {
            let server = try await open()
            let identity = server.server ?? Implementation(name: name, version: "unknown")
            return ServerProfile(
                server: identity.json, capabilities: BridgedMethods.capabilities(of: server, for: revision), instructions: server.instructions)
        } catch {
            throw answer(error)
        }
    }

    /// Opens the connection, and keeps what that has come to until it has worked once.
    private func open() async throws(MCPError) -> ServerDescription {
        do throws(MCPError) {
            let server = try await client.open()
            opening.withLock { $0 = .success(()) }
            return server
        } catch {
            opening.withLock { opening in
                if case .success? = opening { return }
                // Who waits no longer says nothing of the server.
                if error != .cancelled { opening = .failure(error) }
            }
            throw error
        }
    }

    package func answer(_ call: ServerCall, tell: @escaping MCPClient.Notice) async throws(RPCError) -> JSONObject {
        do throws(MCPError) {
            let server = try await open()
            try check(call, server)
            let params = BridgedMethods.params(call.params, for: server.era)
            let result =
                call.method == "tools/call"
                ? try await client.call(params, onNotice: tell) : try await client.request(call.method, params, onNotice: tell)
            return BridgedMethods.result(result, of: call.method, from: server.era, for: call.revision)
        } catch {
            throw answer(error)
        }
    }

    private func check(_ call: ServerCall, _ server: ServerDescription) throws(MCPError) {
        do throws(RPCError) { try BridgedMethods.check(call.method, server, for: call.revision) } catch { throw .server(error) }
    }

    package func listen(
        to kinds: [ListKind], begun: @escaping @Sendable ([ListKind]) async -> Void, _ heard: @escaping MCPClient.Notice
    ) async throws(RPCError) {
        // The caller is told once what it hears of; what a stream that was lost has missed is told as changes.
        let told = Mutex(false)
        let started = { @Sendable (agreed: [ListKind]) in
            let isFirst = told.withLock { told in
                defer { told = true }
                return !told
            }
            guard !isFirst else { return await begun(agreed) }
            for kind in agreed { await heard(kind.notification, [:]) }
        }
        while true {
            do throws(MCPError) {
                let server = try await open()
                guard kinds.contains(where: { server.announcesChanges(of: $0) }) else {
                    await started([])
                    return try await Self.nothing()
                }
                try await client.changes(of: kinds, begun: started, heard)
            } catch {
                // A server without such a stream may say for ever that the session is lost.
                guard told.withLock({ $0 }) ? Self.isPassing(error) : error.mayPass && error != .sessionLost else { throw answer(error) }
            }
            do { try await Task.sleep(for: pause) } catch { throw answer(.cancelled) }
        }
    }

    /// Whether a server that has told of changes may do so again.
    private static func isPassing(_ error: MCPError) -> Bool {
        switch error {
        case .cancelled, .notOffered, .refused, .unauthorized, .insufficientScope: false
        case .oauth(let problem): problem.kind == .unreachable
        default: true
        }
    }

    /// Waits for the end of the task.
    private static func nothing() async throws(MCPError) {
        await Pending<Void>().value(onCancel: ())
        throw .cancelled
    }

    /// What the caller is told of a failure. The server's own errors are passed on; those that are about how the bridge speaks to it, or that ask for
    /// what is not carried, are not the caller's, who may speak another revision.
    private func answer(_ error: MCPError) -> RPCError {
        var error = error
        if case .server(let answer) = error {
            switch answer.code {
            case RPCError.headerMismatch, RPCError.missingClientCapability, RPCError.unsupportedRevision: break
            case RPCError.urlElicitationRequired: error = .inputRequired([answer.message])
            default: return answer
            }
        }
        return RPCError(code: RPCError.internalError, message: "\(name): \(error)", data: ["kind": .string(error.kind)])
    }
}
