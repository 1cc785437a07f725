import ArgumentParser
import PosternJSON
import PosternMCP

/// `postern mcp tools`
struct ListMCPToolsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tools", abstract: "List the tools of an MCP server.",
        discussion: """
            What is said of a tool is the server's word: "read-only" is a hint and no promise. With --json the tools are printed as they came, with
            their schemas. With --follow the list is printed again whenever the server says that it has changed, until Ctrl-C; with --json each
            list is then one line.

            Example: postern mcp tools https://docs.example.com/mcp
            """)

    @Argument(help: "The server's URL; none with --stdio.")
    var url: String?

    @OptionGroup var server: MCPServerOptions

    @Flag(name: .long, help: "Print the list again whenever it has changed.")
    var follow = false

    func run() async throws {
        var words = url.map { [$0] } ?? []
        let connection = try MCPConnection(server, url: try server.url(&words))
        guard words.isEmpty else { throw ValidationError("a URL and --stdio are two servers; give one") }
        let (asJSON, follow) = (server.json, follow)
        do throws(MCPError) {
            try await connection.run { client async throws(MCPError) in
                guard follow else { return Self.show(try await client.tools(), asJSON: asJSON, isOneLine: false) }
                try await Self.follow(client, asJSON: asJSON)
            }
        } catch {
            throw CommandError(error, server: connection.name)
        }
    }

    /// The first list is asked for when the server listens, so that no change falls in between.
    private static func follow(_ client: MCPClient, asJSON: Bool) async throws(MCPError) {
        let (changes, feed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let outcome = await withTaskGroup(of: MCPError?.self) { group in
            group.addTask {
                defer { feed.finish() }
                do throws(MCPError) {
                    try await client.toolChanges(begun: { feed.yield() }) { feed.yield() }
                    return .ended("it has ended the notices of changes")
                } catch {
                    return error
                }
            }
            group.addTask {
                for await _ in changes {
                    do throws(MCPError) { show(try await client.tools(), asJSON: asJSON, isOneLine: true) } catch { return error }
                }
                return nil
            }
            var error: MCPError?
            for await next in group {
                error = error ?? next
                if next != nil { group.cancelAll() }
            }
            return error
        }
        if let outcome { throw outcome }
    }

    private static func show(_ tools: [Tool], asJSON: Bool, isOneLine: Bool) {
        let terminal = Terminal()
        if asJSON {
            let list = JSON.array(tools.map(\.json))
            return terminal.print(isOneLine ? list.text : list.indented)
        }
        guard !tools.isEmpty else { return terminal.note("The server has no tools.") }
        var table = Table(["NAME", "HINTS", "DESCRIPTION"])
        for tool in tools { table.add([tool.name, hints(tool), summary(tool)]) }
        for (index, line) in table.lines.enumerated() { terminal.print(index == 0 ? terminal.styled(line, .bold) : line) }
    }

    private static func hints(_ tool: Tool) -> String {
        var hints: [String] = []
        if tool.readOnly == true { hints.append("read-only") }
        if tool.destructive == true, tool.readOnly != true { hints.append("destructive") }
        if tool.idempotent == true { hints.append("idempotent") }
        if tool.openWorld == true { hints.append("open-world") }
        return hints.isEmpty ? "-" : hints.joined(separator: ", ")
    }

    /// The first line of the description, short enough for a table.
    private static func summary(_ tool: Tool) -> String {
        let line = (tool.text ?? tool.title ?? "").split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        return line.count > 100 ? line.prefix(99) + "…" : line
    }
}
