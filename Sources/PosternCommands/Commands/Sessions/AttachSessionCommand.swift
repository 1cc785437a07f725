import ArgumentParser
import ManagedAgentsClient

/// `postern sessions attach`
struct AttachSessionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach", abstract: "Show what a session does, live, until its turn ends.",
        discussion: """
            Shows the history first. An idle session is shown and left; --follow stays until Ctrl-C.

            Example: postern sessions attach sesn_…
            """)

    @OptionGroup var client: ClientOptions

    @Flag(name: .long, help: "Stay after the turn has ended.")
    var follow = false

    @Argument(help: "The session's id.")
    var id: String

    func run() async throws {
        let start = ContinuousClock.now
        let (follower, status, reason) = try await client.withClient { api in
            var follower = SessionFollower(client: api, session: id, output: client.output)
            let (status, reason) = try await follower.run(sending: [], isNew: true, stays: follow)
            return (follower, status, reason)
        }
        client.finish(follower, status, reason, wall: ContinuousClock.now - start)
        if status != .success { throw status.code }
    }
}
