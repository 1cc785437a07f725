import ArgumentParser
import PosternJSON
import PosternPolicy

/// `postern sandbox policy explain`
struct ExplainPolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say whether something may be done, and which line decides.",
        discussion: """
            Ask about a URL, a path or a tool call; without any of them, the tool calls that are asked about and denied are listed. Paths that do not begin
            with / are in the workspace. The exit status is 5 when what was asked is denied.

            Example: postern sandbox policy explain p.yaml --url https://api.example.com/v1/x --method GET
            """)

    @OptionGroup var options: PolicyOptions

    @Option(name: .long, help: "URL or host:port that is to be reached.")
    var url: String?

    @Option(name: .long, help: "Method of the request; without one, only the connection is asked about.")
    var method: String?

    @Option(name: .long, help: ArgumentHelp("Secret whose placeholder the request carries. May be repeated.", valueName: "name"))
    var credential: [String] = []

    @Option(name: .long, help: ArgumentHelp("Path that is to be read.", valueName: "path"))
    var read: String?

    @Option(name: .long, help: ArgumentHelp("Path that is to be written.", valueName: "path"))
    var write: String?

    @Option(name: .long, help: ArgumentHelp("Tool that is to be called.", valueName: "name"))
    var tool: String?

    @Option(name: .long, help: ArgumentHelp("Arguments of the call.", valueName: "json"))
    var input: String?

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    func validate() throws {
        if method != nil || !credential.isEmpty, url == nil { throw ValidationError("--method and --credential belong to --url") }
        if input != nil, tool == nil { throw ValidationError("--input belongs to --tool") }
    }

    func run() async throws {
        let loaded = try options.load()
        let terminal = Terminal()
        let explanations = try explanations(loaded)
        if explanations.isEmpty { return listTools(loaded, terminal) }
        for explanation in explanations { show(explanation, terminal) }
        if explanations.contains(where: { $0.verdict == .denied }) { throw CommandStatus.checkFailed.code }
    }

    private func explanations(_ loaded: LoadedPolicy) throws -> [PolicyExplanation] {
        var explanations: [PolicyExplanation] = []
        do throws(PolicyValueError) {
            if let url { explanations.append(try loaded.explain(method: method, url: url, credentials: Set(credential))) }
            let denials = MandatoryDenials()
            if let read { explanations.append(try loaded.explain(path: read, writing: false, denials: denials)) }
            if let write { explanations.append(try loaded.explain(path: write, writing: true, denials: denials)) }
        } catch {
            throw CommandError(.usage, "\(error)")
        }
        if let tool {
            let arguments: JSON
            do throws(JSONParseError) {
                arguments = try input.map { text throws(JSONParseError) in try JSON(parsing: text) } ?? [:]
            } catch {
                throw CommandError(.usage, "--input: \(error)")
            }
            explanations.append(loaded.explain(tool: tool, input: arguments))
        }
        return explanations
    }

    private func show(_ explanation: PolicyExplanation, _ terminal: Terminal) {
        if json {
            var object: JSONObject = [
                "type": "policy_explanation", "question": .string(explanation.question), "verdict": .string(explanation.verdict.rawValue),
                "reason": .string(explanation.reason),
            ]
            object["rule"] = explanation.rule.map(JSON.string)
            object["place"] = explanation.place.map { .string($0.description) }
            if !explanation.remedy.isEmpty { object["remedy"] = .string(explanation.remedy) }
            return terminal.print(JSON.object(object).indented)
        }
        let colour: Terminal.Style =
            switch explanation.verdict {
            case .allowed: .green
            case .asked: .yellow
            case .denied: .red
            }
        terminal.print("\(terminal.styled(explanation.verdict.rawValue, colour)): \(explanation.question)")
        terminal.print("  \(explanation.reason)")
        if let rule = explanation.rule { terminal.print("  \(rule)\(explanation.place.map { " at \($0)" } ?? "")") }
        if !explanation.remedy.isEmpty { terminal.print("  \(explanation.remedy)") }
    }

    /// Which calls are allowed, denied and asked about, entry by entry with its place.
    private func listTools(_ loaded: LoadedPolicy, _ terminal: Terminal) {
        if json { return terminal.print(loaded.policy.tools.json.indented) }
        for (number, list) in ([loaded.policy.tools.list] + loaded.policy.tools.ceilings).enumerated() {
            if number > 0 { terminal.print("and beside that, from what narrows:") }
            // Only the policy's own lists stand in a file.
            func place(_ key: String, _ index: Int) -> String {
                guard number == 0, let place = loaded.place(of: PolicyPath(keys: "tools", key).index(index)) else { return "" }
                return " at \(place)"
            }
            for (index, glob) in list.allow.enumerated() { terminal.print("allowed: \(glob)\(place("allow", index))") }
            for (index, glob) in list.deny.enumerated() { terminal.print("denied: \(glob)\(place("deny", index))") }
            for (index, question) in list.ask.enumerated() {
                let conditions = question.when.map { "\($0.key) is \($0.value.map { "\"\($0)\"" }.joined(separator: " or "))" }.sorted()
                let tools = question.tools.map(\.description).joined(separator: ", ")
                let reason = question.reason.map { " (\(Terminal.visible($0)))" } ?? ""
                let suffix = conditions.isEmpty ? "" : " where \(conditions.joined(separator: " and "))"
                terminal.print("asked: \(tools)\(suffix)\(reason)\(place("ask", index))")
            }
        }
        terminal.print("Denied wins over asked, asked over allowed; every other call is denied.")
    }
}
