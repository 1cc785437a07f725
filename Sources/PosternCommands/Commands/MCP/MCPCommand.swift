import ArgumentParser

/// `postern mcp`
struct MCPCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mcp", abstract: "Look at an MCP server, list its tools, call them, and bridge it to clients that start a command.",
        discussion: """
            A server is named by its URL (Streamable HTTP) or started by this command (--stdio -- COMMAND …). Which revision of the protocol it speaks
            is found out, from 2025-03-26 to 2026-07-28.

            Example: postern mcp probe https://docs.example.com/mcp --bearer-file token
            Example: postern mcp tools https://docs.example.com/mcp --oauth-issuer https://login.example.com --oauth-client-id job \\
              --oauth-client-secret-file secret
            Example: postern mcp tools --stdio -- python3 server.py
            Example: postern mcp bridge https://docs.example.com/mcp
            """,
        subcommands: [ProbeMCPCommand.self, ListMCPToolsCommand.self, CallMCPToolCommand.self, BridgeMCPCommand.self])
}
