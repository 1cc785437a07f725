import ManagedAgentsAPI
import ManagedAgentsClient
import PosternJSON

/// The stream of what a server says unasked (handshake era: a GET of the endpoint, which is taken up again where it breaks). A value without I/O.
package struct NoticeStream: Sendable {
    package enum Next: Sendable, Equatable {
        case read
        /// Wait, then ask for the stream again, with `lastEventID`.
        case again(after: Duration)
        case fail(MCPError)
    }

    package struct Reaction: Sendable, Equatable {
        package var messages: [JSONRPCMessage] = []
        package var next: Next
    }

    package private(set) var lastEventID: String?
    private let messageLimit: Int
    private let hasBatches: Bool
    private let hasToken: Bool
    private let hasSession: Bool
    private var parser: ServerSentEventParser
    private var retry = HTTPExchange.defaultRetry
    private var attempts = 0

    /// - Parameter hasSession: whether the request names a session, which 404 says is gone; without one there is no such stream.
    package init(messageLimit: Int, hasBatches: Bool, hasToken: Bool, hasSession: Bool) {
        self.messageLimit = messageLimit
        self.hasBatches = hasBatches
        self.hasToken = hasToken
        self.hasSession = hasSession
        parser = ServerSentEventParser(limit: messageLimit)
    }

    package mutating func receive(_ input: HTTPExchange.Input) -> Reaction {
        switch input {
        case .head(let head): Reaction(next: began(head))
        case .bytes(let bytes): read(bytes)
        case .end: Reaction(next: again("the stream of notices ended"))
        case .broken(.cancelled): Reaction(next: .fail(.cancelled))
        case .broken(.refused(let reason)): Reaction(next: .fail(.refused(reason)))
        case .broken(let error): Reaction(next: again("\(error)"))
        case .noToken(let problem): Reaction(next: .fail(.oauth(problem)))
        case .body, .bodyTooLarge: Reaction(next: .fail(.malformed("a body that was not asked for")))
        }
    }

    private mutating func began(_ head: HTTPExchange.Head) -> Next {
        parser = ServerSentEventParser(limit: messageLimit)
        switch head.status {
        case 200 where HTTPExchange.mediaType(head.contentType) == "text/event-stream":
            attempts = 0
            return .read
        case 401: return .fail(.unauthorized(head.challenge, hasToken: hasToken))
        case 404 where hasSession: return .fail(.sessionLost)
        case 404, 405: return .fail(.notOffered("a stream of notices (HTTP \(head.status))"))
        case 408, 409, 425, 429, 500...599: return again("HTTP \(head.status)")
        default: return .fail(HTTPExchange.status(head.status, []))
        }
    }

    private mutating func read(_ bytes: [UInt8]) -> Reaction {
        var reaction = Reaction(next: .read)
        let events: [ServerSentEvent]
        do { events = try parser.parse(bytes) } catch { return Reaction(next: .fail(.tooLarge("an event", limit: error.limit))) }
        if let milliseconds = parser.retryMilliseconds { retry = HTTPExchange.retry(milliseconds: milliseconds) }
        for event in events {
            if let id = event.lastEventID { lastEventID = id.isEmpty ? nil : id }
            guard event.name == nil || event.name == "message", !event.data.isEmpty else { continue }
            do throws(JSONRPCMessage.Malformed) {
                reaction.messages += try JSONRPCMessage.parse(event.data, allowsBatch: hasBatches)
            } catch {
                reaction.next = .fail(.malformed("an event: \(error)"))
                return reaction
            }
        }
        return reaction
    }

    private mutating func again(_ reason: String) -> Next {
        attempts += 1
        guard attempts <= HTTPExchange.maximumAttempts else {
            return .fail(.unreachable("\(reason); the stream was asked for \(HTTPExchange.maximumAttempts) times"))
        }
        return .again(after: retry)
    }
}
