import ArgumentParser
import PosternJSON
import PosternPolicy

/// `postern sandbox policy diff`
struct DiffPolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Say what one policy allows that another does not.",
        discussion: """
            A line with + is something that only the second policy allows, one with - something that only the first allows. The exit status is 5 when
            there is a +, so that a review can hold a change to narrowing. For patterns, samples of what they match are compared.

            Example: postern sandbox policy diff strict p.yaml
            """)

    @Argument(help: "File of the old policy, or a profile.")
    var old: String

    @Argument(help: "File of the new policy, or a profile.")
    var new: String

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    func run() async throws {
        let terminal = Terminal()
        let policies: [Policy]
        do {
            policies = try [old, new].map { try PolicyFiles.policy($0).policy }
        } catch let problems as PolicyProblems {
            throw problems.report(to: terminal).code
        }
        let widened = policies[1].excess(over: policies[0])
        let narrowed = policies[0].excess(over: policies[1])
        if json {
            func list(_ excesses: [PolicyExcess]) -> JSON { .array(excesses.map { ["area": .string($0.area), "text": .string($0.text)] }) }
            terminal.print(JSON.object(["type": "policy_diff", "widened": list(widened), "narrowed": list(narrowed)]).indented)
        } else {
            for excess in narrowed { terminal.print(terminal.styled("- \(excess.area): \(excess.text)", .green)) }
            for excess in widened { terminal.print(terminal.styled("+ \(excess.area): \(excess.text)", .red)) }
            if narrowed.isEmpty, widened.isEmpty { terminal.print("Both allow the same.") }
        }
        if !widened.isEmpty { throw CommandStatus.checkFailed.code }
    }
}
