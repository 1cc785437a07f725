import ArgumentParser

/// `postern sessions`
struct SessionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions", abstract: "Sessions: an agent at work in an environment.",
        discussion: """
            Example: postern sessions run --agent agent_… --environment env_… 'Count the lines of every Swift file.'
                     postern sessions attach sesn_…
            """,
        subcommands: [
            RunSessionCommand.self, AttachSessionCommand.self, SessionEventsCommand.self, SendMessageCommand.self, CreateSessionCommand.self,
            ListCommand<Sessions>.self, ShowCommand<Sessions>.self, UpdateSessionCommand.self, ArchiveCommand<Sessions>.self,
            DeleteCommand<Sessions>.self,
        ])
}
