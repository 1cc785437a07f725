import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern sessions run`
struct RunSessionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Create a session, send a message, and show what happens until the turn ends.",
        discussion: """
            Standard output shows the session; the summary goes to standard error. With --json, standard output holds one event a line.
            The exit status says how it ended: 0 turn ended, 2 failed, 3 waits for a confirmation or a custom tool's result.
            --session continues an existing session instead of creating one.

            Example: postern sessions run --agent agent_… --environment env_… 'Count the lines of every Swift file.'
            """)

    @OptionGroup var client: ClientOptions
    @OptionGroup var fields: SessionFields

    @Option(name: .long, help: "Continue this session.")
    var session: String?

    @Argument(help: "The message; - reads standard input.")
    var text: [String]

    func validate() throws {
        if session != nil, fields.agent != nil || fields.environment != nil {
            throw ValidationError("--session goes without --agent and --environment")
        }
    }

    func run() async throws {
        let message = UserMessage.event(try UserMessage.text(text))
        let start = ContinuousClock.now
        let (follower, status, reason) = try await client.withClient { api in
            let id = try await sessionID(api)
            var follower = SessionFollower(client: api, session: id, output: client.output)
            let (status, reason) = try await follower.run(sending: [message], isNew: session == nil)
            return (follower, status, reason)
        }
        client.finish(follower, status, reason, wall: ContinuousClock.now - start)
        if status != .success { throw status.code }
    }

    private func sessionID(_ api: ManagedAgentsClient) async throws -> String {
        if let session { return session }
        let created = try await api.createSession(fields.body(isUpdate: false))
        guard let id = created["id"]?.string else { throw CommandError(.failure, "the new session has no id") }
        client.show.terminal.note("session \(id)")
        return id
    }
}

extension ClientOptions {
    var output: SessionFollower.Output { json ? .json(Terminal()) : .text(Terminal()) }

    /// The closing line on standard error.
    func finish(_ follower: SessionFollower, _ status: CommandStatus, _ reason: String, wall: Duration) {
        let terminal = show.terminal
        if status != .success { terminal.complain("session \(follower.session): \(reason)") }
        terminal.note(json ? follower.summary.json(wall: wall).text : "\n" + follower.summary.line(wall: wall))
    }
}
