import ArgumentParser

/// `postern`.
package struct PosternCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "postern",
        abstract: "Let an AI agent work on private data without moving that data.",
        discussion: """
            The agent loop runs in the control plane (`serve`), the agent's hands run in a sandbox of a worker (`worker poll`) that only dials out.

            Try it without any key. The model and the control plane, each in a terminal of its own:

              postern scripted-model --listen 127.0.0.1:8401
              postern serve --model-base-url http://127.0.0.1:8401

            In a third one, what a session needs, and a worker:

              export POSTERN_API_KEY=$(cat postern-data/admin.key)
              postern agents create --name helper --model scripted-model
              postern environments create --name here
              postern environments keys create env_… --output env.key
              postern worker poll --environment-id env_… \\
                --environment-key-file env.key

            And in a fourth, with POSTERN_API_KEY set again:

              postern sessions run --agent agent_… --environment env_… '$ uname -a'

            Exit statuses:
            \(CommandStatus.reference)
            """,
        version: PosternVersion.text,
        groupedSubcommands: [
            CommandGroup(
                name: "Services",
                subcommands: [ServeCommand.self, WorkerCommand.self, EdgeCommand.self, ConnectorCommand.self, ScriptedModelCommand.self]),
            CommandGroup(
                name: "Resources",
                subcommands: [
                    AgentsCommand.self, EnvironmentsCommand.self, SessionsCommand.self, TunnelsCommand.self, KeysCommand.self,
                    WorkspacesCommand.self,
                ]),
            CommandGroup(
                name: "Tools",
                subcommands: [
                    SandboxCommand.self, MCPCommand.self, AuditCommand.self, StoreCommand.self, DoctorCommand.self, DocsCommand.self,
                    BenchCommand.self,
                    EgressProcessCommand.self, EdgeProcessCommand.self,
                ]),
        ])

    package init() {}
}

package enum PosternVersion {
    package static let text = "0.1.0"
}
