import ArgumentParser
import PosternJSON
import PosternMCP

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// `postern mcp call`
struct CallMCPToolCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call", abstract: "Call a tool of an MCP server and print what it gives.",
        discussion: """
            Text goes to standard output; images and other data do not, --save writes them to files. With --json the whole result is printed as it came.
            Ctrl-C cancels the call at the server. A call whose connection breaks is never made again: the message says that its outcome is unknown.
            The exit status says how it ended: 0 the tool has given a result, 1 refused or failed on the way, 2 the tool itself failed, 3 the tool
            asks for more, 69 nothing answered, 77 the token is missing or not enough.

            Example: postern mcp call https://docs.example.com/mcp search '{"query": "leave"}'
            Example: postern mcp call --stdio search - -- python3 server.py < arguments.json
            """)

    // With --stdio there is no URL, and each word is what the one after it is called.
    @Argument(help: "The server's URL; none with --stdio.")
    var url: String?

    @Argument(help: "The tool's name.")
    var tool: String?

    @Argument(help: "Its arguments as a JSON object; - reads standard input. None are {}.")
    var arguments: String?

    @OptionGroup var server: MCPServerOptions

    @Option(name: .long, help: ArgumentHelp("Write images, sounds, files and long texts into this folder.", valueName: "folder"))
    var save: String?

    func run() async throws {
        var words = [url, tool, arguments].compactMap { $0 }
        let connection = try MCPConnection(server, url: try server.url(&words))
        guard let tool = words.first, words.count <= 2 else { throw ValidationError("give the tool's name and its arguments as one JSON object") }
        let arguments = try Self.parse(words.count == 2 ? words[1] : "{}")
        let terminal = Terminal()
        let showsProgress = isatty(STDERR_FILENO) == 1
        let result: ToolResult
        do throws(MCPError) {
            result = try await connection.run { client async throws(MCPError) in
                try await client.call(tool: tool, arguments: arguments) { progress in
                    if showsProgress { terminal.note(Self.line(progress)) }
                }
            }
        } catch {
            throw CommandError(error, server: connection.name)
        }
        if server.json {
            terminal.print(JSON.object(result.json).indented)
        } else {
            try ToolResultRenderer(terminal: terminal, folder: save, isTerminal: isatty(STDOUT_FILENO) == 1).show(result)
        }
        if result.isError {
            terminal.complain("the tool \(tool) failed")
            throw CommandStatus.sessionFailed.code
        }
    }

    private static func parse(_ text: String) throws -> JSONObject {
        let source = text == "-" ? try TextFile.read("-") : text
        let json: JSON
        do { json = try JSON(parsing: source) } catch { throw CommandError(.usage, "the arguments are no JSON: \(error)") }
        guard let object = json.object else { throw CommandError(.usage, "the arguments must be a JSON object, not \(json.kind)") }
        return object
    }

    private static func line(_ progress: MCPClient.Progress) -> String {
        let share = progress.total.map { " of \($0.formatted)" } ?? ""
        return "progress \(progress.progress.formatted)\(share)" + (progress.message.map { ": \(Terminal.visible($0))" } ?? "")
    }
}

extension Double {
    /// Without a fraction where there is none.
    fileprivate var formatted: String { Int(exactly: self).map(String.init) ?? "\(self)" }
}
