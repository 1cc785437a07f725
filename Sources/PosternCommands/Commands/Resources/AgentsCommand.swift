import ArgumentParser

/// `postern agents`
struct AgentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agents", abstract: "Agents: a model, a system prompt and tools, in versions.",
        discussion: """
            Example: postern agents create --name helper --model claude-sonnet-4-5 --system 'You are brief.'

            With a file, every field of the API can be given: postern agents create --file agent.yaml
            """,
        subcommands: [
            CreateAgentCommand.self, ListCommand<Agents>.self, ShowCommand<Agents>.self, UpdateAgentCommand.self, ArchiveCommand<Agents>.self,
        ])
}
