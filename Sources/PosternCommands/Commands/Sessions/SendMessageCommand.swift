import ArgumentParser
import ManagedAgentsClient
import PosternJSON

/// `postern sessions send`
struct SendMessageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Send a message, an interrupt or a confirmation, and do not wait.",
        discussion: """
            Example: postern sessions send sesn_… 'Now write the summary.'
                     postern sessions send sesn_… --interrupt
                     postern sessions send sesn_… --allow sevt_…
                     postern sessions send sesn_… --deny sevt_… 'not on this machine'
            """)

    @OptionGroup var client: ClientOptions

    @Flag(name: .long, help: "Stop what the session is doing.")
    var interrupt = false

    @Option(name: .long, help: ArgumentHelp("Confirm the call that waits.", valueName: "event"))
    var allow: String?

    @Option(name: .long, help: ArgumentHelp("Refuse the call that waits; the text is the reason.", valueName: "event"))
    var deny: String?

    @Argument(help: "The session's id.")
    var id: String

    @Argument(help: "The message; - reads standard input.")
    var text: [String] = []

    func validate() throws {
        guard [interrupt, allow != nil, deny != nil].count(where: { $0 }) <= 1 else {
            throw ValidationError("give one of --interrupt, --allow and --deny")
        }
        guard interrupt || allow != nil || deny != nil || !text.isEmpty else { throw ValidationError("nothing to send") }
        guard !(interrupt || allow != nil) || text.isEmpty else { throw ValidationError("--interrupt and --allow take no text") }
    }

    func run() async throws {
        let event = try event()
        let stored = try await client.withClient { try await $0.sendEvents(session: id, [event]) }
        client.show.done("Sent \(event["type"]?.string ?? "event").", .array(stored))
    }

    private func event() throws -> JSON {
        if interrupt { return ["type": "user.interrupt"] }
        if let allow { return ["type": "user.tool_confirmation", "tool_use_id": .string(allow), "result": "allow"] }
        if let deny {
            var event: JSONObject = ["type": "user.tool_confirmation", "tool_use_id": .string(deny), "result": "deny"]
            if !text.isEmpty { event["deny_message"] = .string(try UserMessage.text(text)) }
            return .object(event)
        }
        return UserMessage.event(try UserMessage.text(text))
    }
}
