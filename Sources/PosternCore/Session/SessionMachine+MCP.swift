import ManagedAgentsAPI
import PosternJSON

// MCP servers: what they offer is asked for once a turn, and their tools are called by the control plane itself.
extension SessionMachine {
    static let unknownOutcome =
        "The control plane was stopped while this call was under way. Whether the call took effect is unknown; it was not repeated. Check before you "
        + "run it again."

    // MARK: Listing

    /// Asks the agent's servers for their tools, where that is still to be done in this turn.
    /// - Returns: whether there is anything to wait for.
    @discardableResult
    mutating func startListing(again: Bool = false) -> Bool {
        guard again || !state.hasListed else { return false }
        let servers = MCPServer.all(of: state.agent)
        guard !servers.isEmpty else { return false }
        let listing = emit(HiddenEvent.listingStart, view: .hidden).eventID
        addEffect(.listTools(servers, listing: listing))
        return true
    }

    /// Goes on with what was found. A server that fails does not stop the session: it has no tools in this turn, and is asked again in the next.
    mutating func finishListing(_ listing: String, _ results: [String: Result<[JSON], MCPFailure>]) {
        guard state.openListing == listing else { return }  // interrupted meanwhile, or decided by another process
        var changed: JSONObject = [:]
        var failures: [(server: String, failure: MCPFailure)] = []
        let sets = state.agent["tools"]?.array ?? []
        var room = MCPToolset.mostTools - Toolset(sets).definitions.count
        for toolset in sets.filter({ $0["type"] == "mcp_toolset" }).map(MCPToolset.init) {
            let server = toolset.server
            var tools: [JSON] = []
            do throws(MCPFailure) {
                let found = try toolset.selected(of: try (results[server] ?? .failure(MCPFailure(.connection, "The server was not asked."))).get())
                // Of all sets together (contract section 3.2): the servers that come first have theirs.
                guard found.count <= room else {
                    throw MCPFailure(
                        .connection,
                        "The MCP server \"\(server)\" offers \(found.count) tools, and an agent has \(MCPToolset.mostTools) in all, of which \(max(0, room)) are "
                            + "left. Switch tools off in the toolset's default_config and configs.")
                }
                tools = found
                room -= found.count
            } catch {
                failures.append((server, error))
            }
            if tools != state.mcpTools[server] ?? [] { changed[server] = .array(tools) }
        }
        emit(HiddenEvent.listing, changed.isEmpty ? [:] : ["tools": .object(changed)], view: .hidden)
        for (server, failure) in failures {
            report(failure.kind == .call ? MCPFailure(.connection, failure.message) : failure, of: server)
        }
        advance()
    }

    private mutating func report(_ failure: MCPFailure, of server: String) {
        switch failure.kind {
        case .connection: emitError("mcp_connection_failed_error", failure.message, "retrying", server: server)
        case .authentication: emitError("mcp_authentication_failed_error", failure.message, "retrying", server: server)
        case .call: break
        }
    }

    // MARK: Calls

    /// Starts the calls of an answer that nobody has to be asked about.
    mutating func startCalls() { for call in state.calls where call.isUnderWay { start(call) } }

    /// Starts a call that was just allowed.
    mutating func startCall(_ eventID: String) {
        guard let call = state.calls.first(where: { $0.eventID == eventID }), call.isUnderWay else { return }
        start(call)
    }

    private mutating func start(_ call: ToolCall) {
        guard let mcp = call.mcp, let server = MCPServer.all(of: state.agent).first(where: { $0.name == mcp.server }) else {
            return close(call, with: "The session's agent has no such MCP server any more. The call was not made.")
        }
        addEffect(.callTool(eventID: call.eventID, server, tool: mcp.name, arguments: call.input))
    }

    /// Ends what runs; what this very step would have started is not started.
    mutating func cancelCall(_ eventID: String) {
        let before = step.effects.count
        step.effects.removeAll { if case .callTool(eventID, _, _, _) = $0 { true } else { false } }
        if step.effects.count == before { addEffect(.cancelCall(eventID: eventID)) }
    }

    mutating func finishCall(_ eventID: String, _ result: Result<MCPCallResult, MCPFailure>) {
        // Interrupted meanwhile, or settled by another process.
        guard let call = state.calls.first(where: { $0.eventID == eventID }), call.isUnderWay else { return }
        switch result {
        case .success(let result):
            emit(
                "agent.mcp_tool_result", ["mcp_tool_use_id": .string(eventID), "content": .array(result.content), "is_error": .bool(result.isError)])
        case .failure(let failure):
            if let server = call.mcp?.server { report(failure, of: server) }
            close(call, with: failure.message)
        }
        waitOrAdvance()
    }
}
