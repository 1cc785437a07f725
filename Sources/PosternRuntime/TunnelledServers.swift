import Logging
import PosternCore
import PosternJSON
import PosternMCP
import PosternTunnelWire

/// The MCP servers of agents, reached through the tunnels of the session's workspace: the engine's port. `shutdown()` must be called once, last.
package actor TunnelledServers: MCPServers {
    private struct Entry {
        var links: SessionLinks
        /// What the links' certificates say; other facts need other links.
        var digest: String
        var uses = 0
        var lastUse = 0
    }

    private let tunnels: TunnelService
    private let settings: RuntimeSettings
    private let logger: Logger
    private let eras = EraMemory()
    private var entries: [String: Entry] = [:]
    private var closing: [Int: Task<Void, Never>] = [:]
    private var clock = 0

    package init(tunnels: TunnelService, settings: RuntimeSettings, logger: Logger) {
        self.tunnels = tunnels
        self.settings = settings
        self.logger = logger
    }

    /// Outside of the actor, as the digest of a large configuration takes a while.
    package nonisolated func tools(of server: MCPServer, for caller: MCPCaller) async throws(MCPFailure) -> [JSON] {
        try await using(server, caller, ConfigurationDigest.text(of: caller.agent)) { [limit = settings.listing] client async throws(MCPError) in
            try await within(limit) { () async throws(MCPError) in try await client.tools() }.map(ServerAnswers.definition)
        }
    }

    package nonisolated func call(
        _ tool: String, _ arguments: JSONObject, of server: MCPServer, for caller: MCPCaller
    ) async throws(MCPFailure) -> MCPCallResult {
        try await using(server, caller, ConfigurationDigest.text(of: caller.agent)) { client async throws(MCPError) in
            do throws(MCPError) {
                return ServerAnswers.result(try await client.call(tool: tool, arguments: arguments))
            } catch {
                guard ServerAnswers.wantsListing(error) else { throw ServerAnswers.ofCall(error) }
            }
            // The connector has refused it unread: it has to see the tool's definition first, and this one may have started since the turn began.
            _ = try await client.tools()
            do throws(MCPError) {
                return ServerAnswers.result(try await client.call(tool: tool, arguments: arguments))
            } catch {
                throw ServerAnswers.ofCall(error)
            }
        }
    }

    private func using<Value: Sendable>(
        _ server: MCPServer, _ caller: MCPCaller, _ digest: String, _ work: @Sendable (MCPClient) async throws(MCPError) -> Value
    ) async throws(MCPFailure) -> Value {
        guard !Task.isCancelled else { throw ServerPlace.failure(server, "the session has ended") }
        let links = try take(caller, server, digest)
        defer { giveBack(links, caller.sessionID) }
        let client = try await links.client(of: server)
        do throws(MCPError) {
            return try await work(client)
        } catch {
            if error != .cancelled {
                logger.info(
                    "an MCP server could not be used",
                    metadata: ["session": "\(caller.sessionID)", "server": "\(server.name)", "kind": "\(error.kind)"])
            }
            throw ServerAnswers.failure(error, of: server)
        }
    }

    package func end(session id: String) async {
        guard let entry = entries.removeValue(forKey: id) else { return }
        close(entry.links)
    }

    package func shutdown() async {
        for entry in entries.values { close(entry.links) }
        entries = [:]
        for task in closing.values { await task.value }
    }

    /// Sessions that keep anything here now; for tests.
    package var sessions: [String] { entries.keys.sorted() }

    // MARK: Links

    private func take(_ caller: MCPCaller, _ server: MCPServer, _ digest: String) throws(MCPFailure) -> SessionLinks {
        clock += 1
        let id = caller.sessionID
        if let entry = entries[id], entry.digest != digest {
            // The session runs with something else now, which its certificates have to say.
            entries[id] = nil
            close(entry.links)
        }
        if entries[id] == nil {
            try makeRoom(server)
            entries[id] = Entry(links: SessionLinks(caller, tunnels: tunnels, settings: settings, eras: eras), digest: digest)
        }
        entries[id]?.uses += 1
        entries[id]?.lastUse = clock
        guard let links = entries[id]?.links else { throw ServerPlace.failure(server, "the session has ended") }
        return links
    }

    private func makeRoom(_ server: MCPServer) throws(MCPFailure) {
        guard entries.count >= settings.mostSessions else { return }
        let oldest = entries.filter { $0.value.uses == 0 }.min { $0.value.lastUse < $1.value.lastUse }
        guard let oldest else {
            throw ServerPlace.failure(server, "\(settings.mostSessions) sessions call MCP servers at the moment, which is the most; try again later")
        }
        entries[oldest.key] = nil
        close(oldest.value.links)
    }

    private func giveBack(_ links: SessionLinks, _ id: String) {
        guard entries[id]?.links === links else { return }
        entries[id]?.uses -= 1
    }

    /// In a task of its own, which `shutdown` waits for: whoever ends a session does not wait for its servers.
    private func close(_ links: SessionLinks) {
        clock += 1
        let number = clock
        closing[number] = Task {
            await links.close()
            self.closing[number] = nil
        }
    }
}

/// Cancels the work when the time is over.
private func within<Value: Sendable>(
    _ limit: Duration, _ work: @escaping @Sendable () async throws(MCPError) -> Value
) async throws(MCPError) -> Value {
    let outcome = await withTaskGroup(of: Result<Value, MCPError>.self) { group in
        group.addTask { do throws(MCPError) { return .success(try await work()) } catch { return .failure(error) } }
        group.addTask {
            do { try await Task.sleep(for: limit) } catch { return .failure(.cancelled) }
            return .failure(.timedOut(method: "tools/list", seconds: Int(limit.components.seconds), hasProgress: false))
        }
        let first = await group.next() ?? .failure(.cancelled)
        group.cancelAll()
        return first
    }
    return try outcome.get()
}
