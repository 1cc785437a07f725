import ArgumentParser

/// `postern worker run`
struct WorkerRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Serve one claimed session and exit: the entry point of a container per session.",
        discussion: """
            Another process has polled and acknowledged the item and hands its ids over. With the item's own secret in ANTHROPIC_WORK_SECRET, no
            environment key is needed.

            Example: ANTHROPIC_ENVIRONMENT_ID=env_… ANTHROPIC_WORK_ID=work_… ANTHROPIC_SESSION_ID=sesn_… ANTHROPIC_WORK_SECRET=… postern worker run
            """)

    @OptionGroup var file: ConfigFileOption
    @OptionGroup var flags: WorkerFlags
    @Option(.sessionID) var sessionID: String?
    @Option(.workID) var workID: String?

    func run() async throws {
        var given = flags.flags
        given[ConfigurationKey.sessionID.name] = sessionID
        given[ConfigurationKey.workID.name] = workID
        try await WorkerProcess(flags: given, file: file).runOne()
    }
}
