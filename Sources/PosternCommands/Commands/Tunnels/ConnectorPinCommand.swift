import ArgumentParser
import PosternConnector

/// `postern connector pin`
struct ConnectorPinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Write the digests of tool definitions for the policy of a route.",
        discussion: """
            Reads what a server answers to tools/list and prints the mapping "pins" for the route's policy. Look at the definitions first: a pin says
            that somebody did.

            Example: curl … -d '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' http://10.0.0.7:8080/mcp | postern connector pin
            """)

    @Argument(help: "A file with the answer to tools/list, in JSON; - reads standard input.")
    var file = "-"

    func run() async throws {
        let pins: ToolPins
        let text = try TextFile.read(file)
        do { pins = try ToolPins(Array(text.utf8)) } catch { throw CommandError(.failure, "\(file): \(error)") }
        let terminal = Terminal()
        terminal.put(pins.yaml)
        if pins.isPartial { terminal.note("the list has further pages: pin those too") }
    }
}
