import ManagedAgentsAPI
import ManagedAgentsClient
import PosternJSON

/// One request over Streamable HTTP from its answer's head to its result (transports, "Streamable HTTP"): JSON or a stream of events, a stream that
/// is taken up again, an error. A value without I/O.
package struct HTTPExchange: Sendable {
    /// The head of an answer, as far as it matters.
    package struct Head: Sendable, Equatable {
        package var status: Int
        package var contentType: String
        package var location: String?
        package var challenge: BearerChallenge?
        /// Whether the connector of a tunnel has answered, and not the server.
        package var isConnectors: Bool

        package init(
            status: Int, contentType: String, location: String? = nil, challenge: BearerChallenge? = nil, isConnectors: Bool = false
        ) {
            self.status = status
            self.contentType = contentType
            self.location = location
            self.challenge = challenge
            self.isConnectors = isConnectors
        }
    }

    package enum Input: Sendable, Equatable {
        case head(Head)
        /// The whole body, after `collect`.
        case body([UInt8])
        /// More than the `limit` of `collect`.
        case bodyTooLarge
        /// The next bytes of a stream.
        case bytes([UInt8])
        /// The body's end.
        case end
        /// The connection is gone, or there never was one.
        case broken(TransportError)
        /// The server has refused the request for want of a token, and none could be got.
        case noToken(OAuthProblem)
    }

    /// What is to be done next.
    package enum Next: Sendable, Equatable {
        /// Read the whole body, up to so many bytes.
        case collect(limit: Int)
        /// Read on, as it comes.
        case read
        /// Wait, then ask for the rest of the stream by a GET with this `Last-Event-ID`.
        case resume(lastEventID: String, after: Duration)
        case finish(Result<JSONObject, MCPError>)
    }

    /// Notifications and requests of the server that came meanwhile, in their order, and what is next.
    package struct Reaction: Sendable, Equatable {
        package var messages: [JSONRPCMessage] = []
        package var next: Next
    }

    package struct Settings: Sendable {
        package var id: RequestID
        /// Nil before a revision was agreed on.
        package var revision: Revision?
        package var hasSession = false
        package var hasToken = false
        /// Most bytes of one message, as JSON or as an event.
        package var messageLimit = 16 << 20

        package init(id: RequestID, revision: Revision?) {
            self.id = id
            self.revision = revision
        }
    }

    private enum State: Sendable {
        case waiting
        case collecting(Head)
        case streaming
        case over
    }

    /// Bytes of an error's body that are read.
    static let errorLimit = 64 << 10
    /// How often a stream is asked for in a row without an event of it.
    static let maximumAttempts = 5
    /// The wait before a stream is asked for again where the server names none.
    static let defaultRetry = Duration.seconds(1)

    /// The wait that a server names, within bounds: it makes nobody ask without a pause, or for ever later.
    static func retry(milliseconds: Int) -> Duration { .milliseconds(min(max(milliseconds, 50), 60_000)) }

    private let settings: Settings
    private var state = State.waiting
    /// Of the stream that is read.
    private var parser: ServerSentEventParser
    /// Whether what is waited for is the rest of a stream.
    private var isResuming = false
    private var lastEventID: String?
    private var retry = defaultRetry
    private var attempts = 0

    package init(_ settings: Settings) {
        self.settings = settings
        parser = ServerSentEventParser(limit: settings.messageLimit)
    }

    package mutating func receive(_ input: Input) -> Reaction {
        switch (state, input) {
        case (.over, _): Reaction(next: .finish(.failure(.malformed("something after the answer"))))
        case (.waiting, .head(let head)): isResuming ? resumed(head) : began(head)
        case (.collecting(let head), .body(let bytes)): collected(bytes, head)
        case (.collecting(let head), .bodyTooLarge):
            finish(.failure(Self.isSuccess(head.status) ? .tooLarge("the answer", limit: settings.messageLimit) : said(head, [])))
        case (.streaming, .bytes(let bytes)): streamed(bytes)
        case (.streaming, .end): lost("the stream ended before the answer")
        case (.streaming, .broken(.cancelled)), (.waiting, .broken(.cancelled)), (.collecting, .broken(.cancelled)): finish(.failure(.cancelled))
        case (.streaming, .broken(let error)): lost("\(error)")
        case (.waiting, .noToken(let problem)):
            finish(.failure(isResuming ? .outcomeUnknown("the stream broke, and its rest needs a token: \(problem)") : .oauth(problem)))
        case (.waiting, .broken(let error)): isResuming ? lost("\(error)") : finish(.failure(MCPError(error)))
        case (.collecting(let head), .broken(let error)):
            finish(.failure(Self.isSuccess(head.status) ? .outcomeUnknown("\(error)") : said(head, [])))
        default: finish(.failure(.malformed("an answer out of order")))
        }
    }

    // MARK: - Heads

    private mutating func began(_ head: Head) -> Reaction {
        switch head.status {
        case 202: finish(.failure(.malformed("HTTP 202, which promises no answer, to a request")))
        case 200...299:
            switch Self.mediaType(head.contentType) {
            case "application/json": collect(head, limit: settings.messageLimit)
            case "text/event-stream": stream()
            case let other:
                finish(.failure(.malformed("the answer is \(other.isEmpty ? "of no type" : other), neither application/json nor text/event-stream")))
            }
        case _ where head.isConnectors: collect(head, limit: Self.errorLimit)
        case 404 where settings.hasSession && settings.revision?.era == .handshake: finish(.failure(.sessionLost))
        default: refused(head)
        }
    }

    private mutating func resumed(_ head: Head) -> Reaction {
        if head.status == 200, Self.mediaType(head.contentType) == "text/event-stream" { return stream() }
        switch head.status {
        // What is not there for good, and what may come back. A refusal too is of this request, and not of the one that has gone.
        case 400...499 where ![408, 425, 429].contains(head.status):
            return finish(.failure(.outcomeUnknown("the stream broke, and the server does not give its rest (HTTP \(head.status))")))
        default: return lost("the stream broke, and the server answered HTTP \(head.status) when asked for its rest")
        }
    }

    private mutating func refused(_ head: Head) -> Reaction {
        switch head.status {
        case 401: finish(.failure(.unauthorized(head.challenge, hasToken: settings.hasToken)))
        case 403:
            if let challenge = head.challenge, challenge.wantsScopes {
                finish(.failure(.insufficientScope(challenge)))
            } else {
                collect(head, limit: Self.errorLimit)
            }
        case 300...399: finish(.failure(.redirected(status: head.status, location: head.location ?? "nothing")))
        default: collect(head, limit: Self.errorLimit)
        }
    }

    private mutating func collect(_ head: Head, limit: Int) -> Reaction {
        state = .collecting(head)
        return Reaction(next: .collect(limit: limit))
    }

    private mutating func stream() -> Reaction {
        state = .streaming
        parser = ServerSentEventParser(limit: settings.messageLimit)
        return Reaction(next: .read)
    }

    // MARK: - Bodies

    private mutating func collected(_ bytes: [UInt8], _ head: Head) -> Reaction {
        guard Self.isSuccess(head.status) else {
            // A server that keeps to the protocol says in JSON-RPC why. It answers this request alone, whatever id it has: null where none was
            // read, and servers of the older era make one up.
            if Self.mediaType(head.contentType) == "application/json", let messages = try? JSONRPCMessage.parse(bytes, allowsBatch: false),
                case .failure(_, let error) = messages.first
            {
                return finish(.failure(.server(error)))
            }
            return finish(.failure(said(head, bytes)))
        }
        var reaction = Reaction(next: .read)
        do throws(JSONRPCMessage.Malformed) {
            let messages = try JSONRPCMessage.parse(bytes, allowsBatch: settings.revision?.hasBatches ?? false)
            for message in messages { if let result = answer(message, allowsNull: true, &reaction) { return finish(result, reaction) } }
        } catch {
            return finish(.failure(.malformed("\(error)")), reaction)
        }
        return finish(.failure(.malformed("the answer has another id than the request")), reaction)
    }

    /// What an answer without success means, that is no error of the protocol.
    private func said(_ head: Head, _ body: [UInt8]) -> MCPError {
        guard head.isConnectors else { return Self.status(head.status, body) }
        return ConnectorAnswer.error(
            status: head.status, body: body, hasSession: settings.hasSession && settings.revision?.era == .handshake)
    }

    private mutating func streamed(_ bytes: [UInt8]) -> Reaction {
        var reaction = Reaction(next: .read)
        let events: [ServerSentEvent]
        do { events = try parser.parse(bytes) } catch { return finish(.failure(.tooLarge("an event", limit: error.limit)), reaction) }
        if let milliseconds = parser.retryMilliseconds { retry = Self.retry(milliseconds: milliseconds) }
        for event in events {
            attempts = 0
            // With its whole event only: one that is cut is sent again.
            if let id = event.lastEventID { lastEventID = id.isEmpty ? nil : id }
            // An event without data only gives its id, so that the stream can be taken up (2025-11-25).
            guard event.name == nil || event.name == "message", !event.data.isEmpty else { continue }
            do throws(JSONRPCMessage.Malformed) {
                let messages = try JSONRPCMessage.parse(event.data, allowsBatch: settings.revision?.hasBatches ?? false)
                for message in messages { if let result = answer(message, allowsNull: false, &reaction) { return finish(result, reaction) } }
            } catch {
                return finish(.failure(.malformed("an event: \(error)")), reaction)
            }
        }
        return reaction
    }

    /// The result where `message` is the answer; else it is kept for whoever listens. Answers to other requests do not belong here and are dropped.
    private func answer(_ message: JSONRPCMessage, allowsNull: Bool, _ reaction: inout Reaction) -> Result<JSONObject, MCPError>? {
        switch message {
        case .response(settings.id, let result): return .success(result)
        case .failure(settings.id?, let error): return .failure(.server(error))
        case .failure(nil, let error) where allowsNull: return .failure(.server(error))
        case .request, .notification: reaction.messages.append(message)
        case .response, .failure: break
        }
        return nil
    }

    /// The stream is gone. In the handshake era it goes on where it broke, if the server has numbered it; the newer one has no such thing, and in
    /// neither is the request sent again.
    private mutating func lost(_ reason: String) -> Reaction {
        guard let lastEventID, settings.revision?.era != .modern else { return finish(.failure(.outcomeUnknown(reason))) }
        attempts += 1
        guard attempts <= Self.maximumAttempts else {
            return finish(.failure(.outcomeUnknown("\(reason); its rest was asked for \(Self.maximumAttempts) times")))
        }
        isResuming = true
        state = .waiting
        return Reaction(next: .resume(lastEventID: lastEventID, after: retry))
    }

    private mutating func finish(_ result: Result<JSONObject, MCPError>, _ reaction: Reaction? = nil) -> Reaction {
        state = .over
        return Reaction(messages: reaction?.messages ?? [], next: .finish(result))
    }

    // MARK: - Values

    private static func isSuccess(_ status: Int) -> Bool { (200...299).contains(status) }

    /// Without parameters, in lower case.
    static func mediaType(_ text: String) -> String {
        let type = text.prefix { $0 != ";" && $0 != "," }.lowercased()
        return String(type.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }

    static func status(_ status: Int, _ body: [UInt8]) -> MCPError { .status(status, excerpt(body)) }

    static func excerpt(_ body: [UInt8]) -> String {
        String(decoding: body.prefix(300), as: UTF8.self).split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}
