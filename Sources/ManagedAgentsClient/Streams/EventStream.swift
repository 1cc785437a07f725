import ManagedAgentsAPI
import PosternJSON

/// An event as it came over a stream.
package struct StreamedEvent: Sendable {
    /// The event's `type`.
    package var type: String
    /// The bytes as they were stored (architecture, section 3, principle 6).
    package var bytes: [UInt8]
    package var json: JSON
    /// The frame's SSE `id:`, to be given as `Last-Event-ID`; `nil` where the service sends none, and for previews.
    package var cursor: String?

    package init(type: String, bytes: [UInt8], json: JSON, cursor: String?) {
        self.type = type
        self.bytes = bytes
        self.json = json
        self.cursor = cursor
    }
}

/// An open event stream. Iterate it once. It ends when the service ends it; throws `ClientError` when it breaks off, and
/// `.stream` for an `event: error` frame. Pings and comments are not shown.
package struct EventStream: AsyncSequence, Sendable {
    package typealias Element = StreamedEvent
    package typealias Failure = ClientError

    private let body: ClientBody
    private let frameLimit: Int
    /// The head of the answer.
    package let headers: ClientHeaders

    package init(body: ClientBody, headers: ClientHeaders, frameLimit: Int) {
        self.body = body
        self.headers = headers
        self.frameLimit = frameLimit
    }

    package struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var body: ClientBody.AsyncIterator
        fileprivate var parser: ServerSentEventParser
        fileprivate var ready: [ServerSentEvent] = []
        fileprivate var position = 0

        package mutating func next(isolation actor: isolated (any Actor)?) async throws(ClientError) -> StreamedEvent? {
            while true {
                while position < ready.count {
                    let frame = ready[position]
                    position += 1
                    if let event = try Self.event(frame) { return event }
                }
                let chunk: [UInt8]?
                do { chunk = try await body.next(isolation: actor) } catch { throw .transport(TransportError(reading: error)) }
                if Task.isCancelled { throw .transport(.cancelled) }
                guard let chunk else { return nil }
                do { ready = try parser.parse(chunk) } catch { throw .stream("\(error)") }
                position = 0
            }
        }

        package mutating func next() async throws(ClientError) -> StreamedEvent? { try await next(isolation: nil) }

        private static func event(_ frame: ServerSentEvent) throws(ClientError) -> StreamedEvent? {
            if frame.name == "ping" || frame.data.isEmpty { return nil }
            if frame.name == "error" {
                let json = try? JSON(parsing: frame.data)
                throw .stream(json?["error"]?["message"]?.string ?? String(decoding: frame.data.prefix(300), as: UTF8.self))
            }
            let json: JSON
            do { json = try JSON(parsing: frame.data) } catch { throw .malformed("a stream frame: \(error)") }
            // The `type` field decides what an event is, not the frame's name (contract, section 1.7).
            guard let type = json["type"]?.string else { return nil }
            return StreamedEvent(type: type, bytes: frame.data, json: json, cursor: frame.lastEventID)
        }
    }

    package func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(body: body.makeAsyncIterator(), parser: ServerSentEventParser(limit: frameLimit))
    }
}
