import ArgumentParser
import PosternMCP

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// `postern mcp bridge`
struct BridgeMCPCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bridge", abstract: "Be an MCP server on standard input and output that passes everything to the one at a URL.",
        discussion: """
            For clients that start a command, such as Claude Desktop, and for servers that they cannot reach by themselves: behind a tunnel, with a client
            certificate, a private authority or a proxy. The client and the server may speak different revisions. Tools, prompts, resources, completions
            and the server's log are carried, with progress, cancellation and changes of lists; sampling, elicitation, roots, tasks and subscriptions to a
            resource are not, and are not announced.

            A call is made once. Where its outcome is unknown the client is told so. The server is connected to when the client begins; where that fails the
            client gets an error that says why, and may begin again. Standard output is the protocol's, remarks go to standard error. It ends with its
            standard input, after ten seconds at most for calls that still run, and with SIGTERM or Ctrl-C at once.
            --stdio, --pass-env and --json are not for this command.

            Example: claude mcp add docs -- postern mcp bridge https://docs.ab12cd34.tunnel.example.com/mcp --certificate /home/me/certificate
            Example: postern mcp bridge https://docs.example.com/mcp --bearer-file token
            """)

    @Argument(help: "The server's URL.")
    var url: String

    @OptionGroup var server: MCPServerOptions

    /// Descriptors of the client's that are closed lead to nowhere: else what the process opens next would get their number, and be read or written in
    /// their place. To be called first.
    static func begin() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 { _ = open("/dev/null", O_RDWR) }
    }

    func validate() throws {
        guard !server.stdio, !server.json else {
            throw ValidationError("--stdio and --json are not for mcp bridge: it is the server on standard input and output, for the one at the URL")
        }
    }

    func run() async throws {
        let connection = try MCPConnection(server, url: url)
        let terminal = Terminal()
        var settings = PipeServer.Settings()
        settings.messageLimit = server.maxMessageBytes
        do throws(MCPError) {
            let failure = try await connection.run { [settings] client async throws(MCPError) -> MCPError? in
                let bridge = MCPBridge(to: client, name: connection.name)
                let pipes = PipeServer(bridge, settings: settings) { terminal.note("postern: \(Terminal.visible($0))") }
                try await pipes.run(input: STDIN_FILENO, output: STDOUT_FILENO)
                return bridge.failure
            }
            // The client was told; so is whoever reads the status.
            if let failure { throw failure }
        } catch {
            throw CommandError(error, server: connection.name)
        }
    }
}
