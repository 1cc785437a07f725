import ArgumentParser
import PosternJSON
import PosternMCP

/// `postern mcp probe`
struct ProbeMCPCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe", abstract: "Say what an MCP server is, what it speaks and how long each step takes.",
        discussion: """
            Connects, finds out the revision, and lists the tools. Nothing is called. Where a step fails, the steps before it are shown, then what is
            wrong and what helps.

            Example: postern mcp probe https://docs.example.com/mcp
            Example: postern mcp probe --stdio -- npx server
            """)

    @Argument(help: "The server's URL; none with --stdio.")
    var url: String?

    @OptionGroup var server: MCPServerOptions

    func run() async throws {
        var words = url.map { [$0] } ?? []
        let connection = try MCPConnection(server, url: try server.url(&words))
        guard words.isEmpty else { throw ValidationError("a URL and --stdio are two servers; give one") }
        let trace = MCPConnection.Trace()
        let found: Result<(ServerDescription, Int), MCPError>
        do throws(MCPError) {
            found = .success(
                try await connection.run(trace: trace) { client async throws(MCPError) in
                    let description = try await client.open()
                    return (description, try await client.tools().count)
                })
        } catch {
            found = .failure(error)
        }
        report(connection.name, found, trace.steps)
        if case .failure(let error) = found { throw CommandError(error, server: connection.name) }
    }

    private func report(_ name: String, _ found: Result<(ServerDescription, Int), MCPError>, _ steps: [MCPClient.Step]) {
        let terminal = Terminal()
        if server.json { return terminal.print(json(name, found, steps).indented) }
        var table = Table(["", ""])
        if case .success((let description, let tools)) = found {
            let identity = description.server
            table.add(["server", identity.map { "\($0.name) \($0.version)" } ?? "(gives no name)"])
            table.add(["revision", "\(description.revision.rawValue) (\(description.era.rawValue) era)"])
            table.add(["transport", server.stdio ? "stdio" : "Streamable HTTP"])
            if !server.stdio, description.era == .handshake {
                table.add(["session", description.sessionID == nil ? "none: the server keeps no state" : "kept by the server"])
            }
            table.add(["capabilities", description.capabilities.keys.joined(separator: ", ")])
            table.add(["tools", "\(tools)" + (description.announcesToolChanges ? ", changes are announced" : "")])
        }
        for step in steps {
            let failed = step.error == nil ? "" : "  failed"
            table.add([step.name, "\(Self.milliseconds(step.duration)) ms\(failed)"])
        }
        for line in table.lines.dropFirst() { terminal.print(line) }
    }

    private func json(_ name: String, _ found: Result<(ServerDescription, Int), MCPError>, _ steps: [MCPClient.Step]) -> JSON {
        var object: JSONObject = ["server_name": .string(name), "transport": server.stdio ? "stdio" : "http"]
        switch found {
        case .success((let description, let tools)):
            object["ok"] = true
            object["era"] = .string(description.era.rawValue)
            object["revision"] = .string(description.revision.rawValue)
            object["server"] = description.server?.json ?? .null
            object["has_session"] = .bool(description.sessionID != nil)
            object["capabilities"] = .object(description.capabilities)
            object["instructions"] = JSON(description.instructions)
            object["tools"] = JSON(tools)
        case .failure(let error):
            object["ok"] = false
            object["error"] = ["kind": .string(error.kind), "message": .string("\(error)")]
        }
        object["steps"] = .array(
            steps.map { step in
                var entry: JSONObject = ["step": .string(step.name), "milliseconds": .double(Self.milliseconds(step.duration))]
                if let error = step.error { entry["error"] = .string(error.kind) }
                return .object(entry)
            })
        return .object(object)
    }

    /// To a tenth.
    private static func milliseconds(_ duration: Duration) -> Double {
        ((duration / .milliseconds(1)) * 10).rounded() / 10
    }
}
