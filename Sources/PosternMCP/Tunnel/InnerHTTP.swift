import NIOCore
import PosternHTTP

/// HTTP/1.1 of one inner connection as its client sees it: one request, its answer, the next one. A value without I/O.
///
/// What has more than one reading ends the connection, and so does what was not asked for: an answer before its request, a second one behind it.
package struct InnerHTTP: Sendable {
    package enum Problem: Error, Sendable, Hashable, CustomStringConvertible {
        /// Bytes where no answer is due.
        case unasked
        /// More behind an answer.
        case secondAnswer
        case malformed(String)
        case tooManyInterim
        case switchesProtocol
        /// HTTP/1.0, which has no chunks and no lasting connections.
        case oldVersion
        /// A body that would end with its connection: whoever cuts that ends the body.
        case noLength
        /// The end before the head was whole.
        case noAnswer
        /// The end before the body was whole.
        case cutOff

        package var description: String {
            switch self {
            case .unasked: "bytes came before anything was asked"
            case .secondAnswer: "more came behind the answer"
            case .malformed(let reason): reason
            case .tooManyInterim: "more than \(InnerHTTP.mostInterim) interim answers came"
            case .switchesProtocol: "the answer switches to a protocol that was not asked for"
            case .oldVersion: "the answer is HTTP/1.0, and connectors speak HTTP/1.1"
            case .noLength: "the answer's body has no length and no chunks, so that nobody could tell where it was cut"
            case .noAnswer: "the connection ended before the answer"
            case .cutOff: "the connection ended before the answer was whole"
            }
        }
    }

    package enum Step: Sendable, Equatable {
        /// Nothing until more has come.
        case more
        case head(ResponseHead)
        /// Bytes of the body, never none.
        case part(ByteBuffer)
        /// The answer is whole.
        case ended(isReusable: Bool)
    }

    private enum State: Sendable {
        case idle
        case head(HeadReader, interim: Int)
        case body(BodyReader, keepsAlive: Bool)
        case over
    }

    package static let mostInterim = 16

    private var state = State.idle
    private var method = ""
    private var buffer = ByteBuffer()

    package init() {}

    /// Whether a request may be sent.
    package var isIdle: Bool { if case .idle = state { buffer.readableBytes == 0 } else { false } }

    /// Whether the answer's head was given out and nothing of a body is to come.
    package var isWhole: Bool { if case .body(let reader, _) = state { reader.isDone } else { false } }

    /// Whether some of an answer is there.
    package private(set) var hasBegun = false

    /// A request with this method is being sent.
    package mutating func begin(_ method: String) throws(Problem) {
        guard case .idle = state, buffer.readableBytes == 0 else { throw fail(.unasked) }
        self.method = method
        hasBegun = false
        state = .head(HeadReader(), interim: 0)
    }

    /// Takes what has come.
    package mutating func receive(_ bytes: ByteBuffer) throws(Problem) {
        guard bytes.readableBytes > 0 else { return }
        switch state {
        case .idle: throw fail(.unasked)
        case .over: return
        case .head, .body: hasBegun = true
        }
        if buffer.readableBytes == 0 { buffer = bytes } else { buffer.writeImmutableBuffer(bytes) }
    }

    /// What follows from what has come.
    package mutating func next() throws(Problem) -> Step {
        switch state {
        case .idle, .over: return .more
        case .head(var reader, let interim): return try head(&reader, interim)
        case .body(var reader, let keepsAlive):
            do throws(HTTPRefusal) {
                let part = try reader.next(&buffer)
                state = .body(reader, keepsAlive: keepsAlive)
                if let part, part.readableBytes > 0 { return .part(part) }
            } catch {
                throw fail(.malformed(error.reason))
            }
            return reader.isDone ? try finish(keepsAlive) : .more
        }
    }

    /// The peer has ended its side, with `close_notify`. Whatever ends without one is an error before it comes here.
    package mutating func end() throws(Problem) {
        switch state {
        case .idle, .over: state = .over
        case .head: throw fail(.noAnswer)
        case .body: throw fail(.cutOff)
        }
    }

    private mutating func head(_ reader: inout HeadReader, _ interim: Int) throws(Problem) -> Step {
        guard buffer.readableBytes > 0 else { return .more }
        let head: ResponseHead
        let framing: BodyFraming
        do throws(HTTPRefusal) {
            let piece = buffer
            buffer = ByteBuffer()
            guard let (lines, rest) = try reader.feed(piece.readableBytesView) else {
                state = .head(reader, interim: interim)
                return .more
            }
            if !rest.isEmpty { buffer = ByteBuffer(bytes: rest) }
            head = try ResponseHead(lines: lines)
            framing = try BodyFraming(response: head, to: method)
        } catch {
            throw fail(.malformed(error.reason))
        }
        guard head.minorVersion == 1 else { throw fail(.oldVersion) }
        guard head.status != 101 else { throw fail(.switchesProtocol) }
        if head.isInterim {
            guard interim < Self.mostInterim else { throw fail(.tooManyInterim) }
            state = .head(HeadReader(), interim: interim + 1)
            return try next()
        }
        guard framing != .untilClose else { throw fail(.noLength) }
        state = .body(BodyReader(framing), keepsAlive: head.keepsAlive)
        return .head(head)
    }

    private mutating func finish(_ keepsAlive: Bool) throws(Problem) -> Step {
        guard buffer.readableBytes == 0 else { throw fail(.secondAnswer) }
        state = keepsAlive ? .idle : .over
        return .ended(isReusable: keepsAlive)
    }

    private mutating func fail(_ problem: Problem) -> Problem {
        state = .over
        buffer = ByteBuffer()
        return problem
    }
}
