import ArgumentParser
import PosternConnector
import PosternEgress
import PosternJSON
import PosternMCP
import PosternPolicy

/// `postern connector pin`
struct ConnectorPinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Look at the tools of a route and pin their definitions.",
        discussion: """
            Asks the route's server for its tools, over the way that calls take: its addresses, TLS and injected headers. Shows what is new, what has changed
            and what is gone against the file that the route's policy names (tools.pins: FILE), and with --write writes it. A pin says that somebody
            looked at the definition. A connector that runs takes the file up by itself. The status is 5 where there is a difference and it is not written.

            With --from the tools come from a saved answer to tools/list, for servers behind a unix socket or a command. Without --config the argument is
            such an answer (- is standard input), and what is printed is the mapping "pins" for the document itself.

            Example: postern connector pin --config tunnel/connector.yaml docs --write
            """)

    @Option(name: .long, help: "The connector's YAML document.")
    var config: String?

    @Argument(help: "The route; without --config a file with the answer to tools/list, in JSON.")
    var subject = "-"

    @Option(name: .long, help: "A file with the answer to tools/list, in place of asking the server; - reads standard input.")
    var from: String?

    @Option(name: .long, help: "Only this tool; others stay as they are. May be repeated.")
    var tool: [String] = []

    @Option(name: .long, help: "Path of the MCP endpoint at the server.")
    var mcpPath = "/mcp"

    @Option(name: .long, help: "For each step, such as 10s.")
    var timeout = "10s"

    @Flag(name: .long, help: "Write the file.")
    var write = false

    func validate() throws {
        guard config == nil else { return }
        if from != nil || write || !tool.isEmpty { throw ValidationError("--from, --tool and --write need --config, which names the file to write") }
    }

    func run() async throws {
        guard let config else { return try printMapping() }
        let files = try ConnectorFiles(config: config, needsPins: false)
        guard let route = files.configuration.routes[subject] else {
            throw CommandError(
                .notFound, "\(config) has no route \"\(subject)\"; it has \(files.configuration.routes.keys.sorted().joined(separator: ", "))")
        }
        guard let file = route.policy?.pinsFile else {
            throw CommandError(
                .configuration,
                "routes.\(subject).policy.tools.pins names no file: write `tools: {pins: \(subject).pins.json}`, or print a mapping "
                    + "without --config")
        }
        let path = ConnectorFiles.against(files.folder, file)
        var pinned = PinFile()
        if TextFile.exists(path) {
            let text = try TextFile.read(path)
            do throws(ConnectorError) { pinned = try PinFile(text) } catch { throw CommandError(.configuration, "\(file): \(error)") }
        }
        let list = try await tools(files, route)
        let changes = pinned.changes(list, only: tool.isEmpty ? nil : Set(tool))
        let terminal = Terminal()
        for name in tool where !list.pins.contains(where: { $0.tool == name }) && pinned.pins[name] == nil {
            throw CommandError(.notFound, "the server has no tool \"\(name)\"; it has \(list.pins.map(\.tool).joined(separator: ", "))")
        }
        show(changes, terminal)
        guard !changes.isEmpty else { return terminal.note("\(file): \(pinned.pins.count) tools, all as they were pinned") }
        guard write else {
            throw CommandError(.checkFailed, "nothing is written: look at the definitions, and run it again with --write if they are good")
        }
        pinned.take(changes)
        try save(pinned, path)
        terminal.note("\(file): \(pinned.pins.count) tools are pinned")
    }

    /// What is written has to say the same when it is read.
    private func save(_ pins: PinFile, _ path: String) throws {
        let text = pins.json.indented
        let read = try? PinFile(text)
        guard read?.pins.mapValues(\.digest) == pins.pins.mapValues(\.digest) else {
            throw CommandError(.failure, "the definitions cannot be written so that they are read as they are")
        }
        try TextFile.writeSecret(text, to: path, keepsOwner: true)
    }

    private func tools(_ files: ConnectorFiles, _ route: ConnectorConfiguration.Route) async throws -> ToolPins {
        if let from {
            let text = try TextFile.read(from)
            let tools: ToolPins
            do throws(ConnectorError) { tools = try ToolPins(Array(text.utf8)) } catch { throw CommandError(.failure, "\(from): \(error)") }
            // What is on the pages that are not there would be told as gone.
            guard !tools.isPartial else {
                throw CommandError(.failure, "\(from): the list has further pages (nextCursor): put the tools of all pages into one array")
            }
            return tools
        }
        guard let milliseconds = Quantity.milliseconds(timeout), (100...600_000).contains(milliseconds) else {
            throw CommandError(.usage, "--timeout \(timeout): write a time from 100ms to 10m, such as 10s")
        }
        let probe = try await RouteMCPProbe(subject, route, files, path: mcpPath, timeout: .milliseconds(milliseconds))
        let tools: [Tool]
        do throws(MCPError) { tools = try await probe.ask().1 } catch { throw CommandError(.unavailable, "route \(subject): \(error)") }
        do throws(ConnectorError) { return try ToolPins(JSON.array(tools.map(\.json)).canonical) } catch { throw CommandError(.failure, "\(error)") }
    }

    private func show(_ changes: [(tool: String, change: PinFile.Change)], _ terminal: Terminal) {
        func lines(_ json: JSON, _ mark: String) {
            for line in json.indented.split(separator: "\n") { terminal.print("\(mark) \(Terminal.visible(String(line)))") }
        }
        for (tool, change) in changes {
            switch change {
            case .new(let definition):
                terminal.print("\(tool): new")
                lines(definition, "  +")
            case .changed(let definition, let before):
                terminal.print("\(tool): changed")
                if let before { lines(before, "  -") }
                lines(definition, "  +")
            case .gone: terminal.print("\(tool): gone")
            }
        }
    }

    private func printMapping() throws {
        let pins: ToolPins
        let text = try TextFile.read(subject)
        do { pins = try ToolPins(Array(text.utf8)) } catch { throw CommandError(.failure, "\(subject): \(error)") }
        let terminal = Terminal()
        terminal.put(pins.yaml)
        if pins.isPartial { terminal.note("the list has further pages: pin those too") }
    }
}
