import ArgumentParser

/// `postern worker poll`
struct WorkerPollCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "poll", abstract: "Serve an environment's queue, many sessions at once, until stopped.",
        discussion: """
            SIGTERM and Ctrl-C drain: running calls end with an error result, sessions go back to the queue. A worker that was killed takes up its
            sessions again when it is started with the same --workdir in time.

            Example: ANTHROPIC_ENVIRONMENT_ID=env_… ANTHROPIC_ENVIRONMENT_KEY=… postern worker poll --workdir /var/lib/postern-work --max-sessions 16
            """)

    @OptionGroup var file: ConfigFileOption
    @OptionGroup var flags: WorkerFlags
    @Option(.maxSessions) var maxSessions: String?
    @Option(.metricsListen) var metricsListen: String?
    @Option(.onWork) var onWork: String?
    @Option(.onWorkCompat) var onWorkCompat: String?
    @Option(.onWorkTimeout) var onWorkTimeout: String?
    @Option(.onWorkGrace) var onWorkGrace: String?

    func run() async throws {
        var given = flags.flags
        for (key, value) in [
            (ConfigurationKey.maxSessions, maxSessions), (.metricsListen, metricsListen), (.onWork, onWork), (.onWorkCompat, onWorkCompat),
            (.onWorkTimeout, onWorkTimeout),
            (.onWorkGrace, onWorkGrace),
        ] { given[key.name] = value }
        try await WorkerProcess(flags: given, file: file).poll()
    }
}
