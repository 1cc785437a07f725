import ArgumentParser
import PosternPolicy

/// `postern sandbox policy controls`
struct ControlsPolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "controls", abstract: "Map a policy to controls of NIST SP 800-190, the CIS benchmarks and SOC 2.",
        discussion: """
            For each control: what the policy says, which layers hold it, what they hold (+) and what they do not (-). A map for whoever writes an
            assessment, and no assessment.

            Example: postern sandbox policy controls /etc/postern/policies/reporting.yaml
            """)

    @OptionGroup var options: OptionalPolicyOptions

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    @Flag(name: .long, help: "Print a page in Markdown, as docs/controls.md.")
    var markdown = false

    func validate() throws {
        if json, markdown { throw ValidationError("--json and --markdown exclude each other") }
    }

    func run() async throws {
        let map = ControlMap(try options.load().policy)
        let terminal = Terminal()
        if json { return terminal.print(map.json.indented) }
        if markdown { return terminal.put(map.page) }
        terminal.print("Policy \(Terminal.visible(map.policyName)) \(map.digest)")
        for catalogue in ControlMap.Catalogue.allCases {
            terminal.print("\n" + terminal.styled(catalogue.rawValue, .bold))
            for row in map.rows where row.catalogue == catalogue { show(row, terminal) }
        }
    }

    private func show(_ row: ControlMap.Row, _ terminal: Terminal) {
        terminal.print("\n  \(row.control)  " + terminal.styled("[\(row.layers.map(\.rawValue).joined(separator: ", "))]", .dim))
        var table = Table(["", ""])
        for setting in row.settings { table.add([setting.key, setting.value]) }
        for line in table.lines.dropFirst() { terminal.print("    " + line) }
        for (mark, text, style) in [("+", row.holds, Terminal.Style.green), ("-", row.gap, .yellow)] {
            for (index, line) in Self.wrapped(text).enumerated() {
                terminal.print("    " + terminal.styled(index == 0 ? mark : " ", style) + " " + line)
            }
        }
    }

    /// Lines of at most 100 characters, broken at spaces.
    private static func wrapped(_ text: String) -> [String] {
        var lines = [""]
        for word in text.split(separator: " ") {
            let line = lines[lines.count - 1]
            if line.isEmpty {
                lines[lines.count - 1] = String(word)
            } else if line.count + 1 + word.count <= 100 {
                lines[lines.count - 1] = "\(line) \(word)"
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
