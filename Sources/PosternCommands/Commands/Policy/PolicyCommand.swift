import ArgumentParser

/// `postern sandbox policy`
struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Check, explain, show, compare and map the policies of sandboxes.",
        discussion: "Example: postern sandbox policy check /etc/postern/policies",
        subcommands: [
            CheckPolicyCommand.self, ExplainPolicyCommand.self, ShowPolicyCommand.self, DiffPolicyCommand.self, ControlsPolicyCommand.self,
        ])
}
