import ArgumentParser

/// `postern environments`
struct EnvironmentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "environments", abstract: "Environments: the queues that workers serve, and their keys.",
        discussion: """
            Example: postern environments create --name build-farm
                     postern environments keys create env_… --output env.key
            """,
        subcommands: [
            CreateEnvironmentCommand.self, ListCommand<Environments>.self, ShowCommand<Environments>.self, UpdateEnvironmentCommand.self,
            ArchiveCommand<Environments>.self, DeleteCommand<Environments>.self, EnvironmentKeysCommand.self,
        ])
}
