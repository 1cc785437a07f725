import ArgumentParser

/// `postern sandbox`
struct SandboxCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sandbox", abstract: "Use the worker's sandbox by hand.",
        discussion: "Example: postern sandbox run --workspace . -- bash -c 'id; ls /; ls'",
        subcommands: [
            RunSandboxCommand.self, SandboxEgressCommand.self, SelfTestCommand.self, WorkspaceCommand.self, PolicyCommand.self, SeccompCommand.self,
        ])
}
