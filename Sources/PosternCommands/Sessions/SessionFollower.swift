import ManagedAgentsClient
import PosternJSON

/// Follows one session: opens the stream, reads the history, shows every event once, and comes back after the stream broke off.
struct SessionFollower {
    enum Output {
        case text(Terminal)
        /// One event a line, as it is stored.
        case json(Terminal)
    }

    let session: String
    private let client: ManagedAgentsClient
    private let output: Output
    private var renderer: SessionRenderer
    private(set) var summary = SessionSummary()
    private var outcome = SessionOutcome()
    /// Events shown; a client's own event is shown when it is processed, so its received view has an entry of its own.
    private var seen: Set<String> = []
    /// Ids of the events that this run has sent. Until the first of them is processed, an idle is an older turn's.
    private var awaited: Set<String> = []
    private var verdict: (CommandStatus, String)?

    init(client: ManagedAgentsClient, session: String, output: Output) {
        self.client = client
        self.session = session
        self.output = output
        let terminal: Terminal =
            switch output {
            case .text(let terminal), .json(let terminal): terminal
            }
        renderer = SessionRenderer(terminal: terminal)
    }

    /// Waits between attempts to open the stream; the last one is repeated until attempts are used up.
    private static let delays: [Duration] = [.milliseconds(100), .milliseconds(500), .seconds(1), .seconds(2), .seconds(4)]
    private static let attempts = 30

    /// Runs until the turn is over.
    /// - Parameters:
    ///   - events: sent once the stream is open.
    ///   - isNew: show the history too; false for a session whose earlier turns are none of this run's.
    ///   - stays: go on after the turn.
    mutating func run(sending events: [JSON], isNew: Bool, stays: Bool = false) async throws -> (CommandStatus, String) {
        var unsent = events
        var failures = 0
        var skipsHistory = !isNew
        while true {
            do {
                let stream = try await client.streamEvents(session: session, deltas: deltas)
                failures = 0
                for event in try await client.list("/v1/sessions/\(session)/events", query: ["limit": "1000"]) {
                    consume(event, isSilent: skipsHistory)
                }
                skipsHistory = false
                if !unsent.isEmpty {
                    verdict = nil
                    // Not repeated after it: a second message would be a second turn.
                    let sending = unsent
                    unsent = []
                    awaited = Set(try await client.sendEvents(session: session, sending).compactMap { $0["id"]?.string })
                }
                if let verdict, !stays { return verdict }
                for try await event in stream {
                    consume(event.json, isSilent: false)
                    if let verdict, !stays { return verdict }
                }
            } catch {
                failures += 1
                guard !error.isFatal, failures < Self.attempts else { throw error }
            }
            try await Task.sleep(for: Self.delays[min(failures, Self.delays.count - 1)])
        }
    }

    /// Previews are for people.
    private var deltas: [String] {
        switch output {
        case .text: ["agent.message"]
        case .json: []
        }
    }

    private mutating func consume(_ event: JSON, isSilent: Bool) {
        if let id = event["id"]?.string {
            let isProcessed = event["processed_at"]?.string != nil
            guard seen.insert(isProcessed ? id : id + " received").inserted else { return }
            if isProcessed { awaited.remove(id) }
        }
        // In a new turn an earlier verdict does not hold any more.
        if event["type"]?.string == "session.status_running" { verdict = nil }
        switch outcome.consume(event) {
        case .goesOn: break
        case .over(let status, let reason): if awaited.isEmpty { verdict = (status, reason) }
        }
        guard !isSilent else { return }
        // The received view of an event is no second event of the sums.
        if event["processed_at"]?.string != nil { summary.consume(event) }
        switch output {
        case .text(let terminal): terminal.put(renderer.render(event))
        case .json(let terminal): terminal.print(event.text)
        }
    }
}
