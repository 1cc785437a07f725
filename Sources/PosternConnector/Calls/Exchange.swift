import NIOCore
import PosternHTTP
import PosternTunnelLink

/// The part of a call that uses the network: the request goes to the upstream while its answer comes back, each read only as fast as the other
/// side takes it, and each piece passed on as it comes.
struct Exchange: Sendable {
    let caller: ByteStream
    let request: RouteRequest
    let times: ConnectorTimes
    let progress: CallProgress
    /// What was read of the request's body already; `nil` without a policy.
    var held: HeldBody?
    /// How the answer is screened; `nil` without a policy.
    var screening: Screening?

    /// A policy's part in an answer.
    struct Screening: Sendable {
        let screen: AnswerScreen
        let saw: @Sendable (AnswerScreen.Screened) -> Void
    }

    /// Where both connections stand after an answer.
    struct Ended: Sendable {
        /// `nil` where the caller's connection carries no further request.
        var caller: MessageReader?
        /// `nil` where the upstream's does not.
        var upstream: UpstreamLink?
    }

    private struct Answered: Sendable {
        var upstream: MessageReader
        var callerStays: Bool
        var upstreamStays: Bool
    }

    private enum Half: Sendable {
        /// The whole request was sent; the caller's reader stands behind it.
        case uploaded(MessageReader)
        /// The upstream takes no more of the request. It may have answered before that.
        case uploadEnded
        case answered(Answered)
        /// Nobody waits for the answer any more.
        case callerGone
        /// The upstream has answered and had its time to take the rest of the request.
        case tooLate
    }

    /// `reader` stands at the beginning of the request's body.
    func run(_ reader: MessageReader, _ link: UpstreamLink) async throws(CallError) -> Ended {
        do {
            return try await halves(reader, link)
        } catch {
            link.stream.close()
            throw error as? CallError ?? .callerGone("\(error)")
        }
    }

    private func halves(_ reader: MessageReader, _ link: UpstreamLink) async throws -> Ended {
        var (reader, body) = (reader, held?.rest ?? BodyReader(request.framing))
        let (beginning, waiting) = try beginning(&reader, &body)
        var wire = ByteBuffer(bytes: request.wire)
        if let beginning { wire.writeImmutableBuffer(framed(beginning)) }
        do { try await link.stream.write(wire) } catch { throw CallError.upstreamConnection("\(error)") }
        progress.sent(beginning?.readableBytes ?? 0)
        if request.expectsContinue, held == nil { try await tell(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")) }
        return try await withThrowingTaskGroup(of: Half.self) { group in
            group.addTask { [reader, body] in try await upload(reader, body, waiting, to: link.stream) }
            group.addTask { .answered(try await answer(from: link.reader)) }
            defer { group.cancelAll() }
            var after: MessageReader?
            var early: Answered?
            while let half = try await group.next() {
                switch half {
                case .uploaded(let reader):
                    if let early { return ended(reader, early, link) }
                    after = reader
                    group.addTask {
                        try await caller.ended()
                        return .callerGone
                    }
                case .uploadEnded where early == nil: break
                case .callerGone: throw CallError.callerGone("it closed its side while the call ran")
                case .answered(let answered):
                    if let after { return ended(after, answered, link) }
                    // An upstream that goes on with its connection takes the rest of the request, though it has answered (RFC 9112, section 9.3).
                    guard answered.upstreamStays else { return await cut(link) }
                    early = answered
                    group.addTask { [times] in
                        try? await Task.sleep(for: .nanoseconds(times.rest.nanoseconds))
                        return .tooLate
                    }
                case .uploadEnded, .tooLate: return await cut(link)
                }
            }
            throw CallError.upstreamAnswer("the upstream closed the connection without an answer")
        }
    }

    private func ended(_ caller: MessageReader, _ answered: Answered, _ link: UpstreamLink) -> Ended {
        let stays = answered.upstreamStays && answered.upstream.buffer.readableBytes == 0
        if !stays { link.stream.close() }
        return Ended(
            caller: answered.callerStays ? caller : nil, upstream: stays ? UpstreamLink(reader: answered.upstream, answered: .now()) : nil)
    }

    /// The rest of the request has nowhere to go, and what stands behind it cannot be found.
    private func cut(_ link: UpstreamLink) async -> Ended {
        link.stream.close()
        await caller.closeOutput()
        return Ended()
    }

    /// What is here of the body: a little goes with the head, in one segment; more waits, because the upstream may answer before it takes it all.
    private func beginning(_ reader: inout MessageReader, _ body: inout BodyReader) throws(CallError) -> (now: ByteBuffer?, waiting: ByteBuffer?) {
        let little = 65_536
        if let bytes = held?.bytes, bytes.readableBytes > 0 { return bytes.readableBytes <= little ? (bytes, nil) : (nil, bytes) }
        guard held == nil, !request.expectsContinue else { return (nil, nil) }
        do { return (try reader.ready(of: &body, most: little), nil) } catch { throw .request(error) }
    }

    private func framed(_ bytes: ByteBuffer) -> ByteBuffer { request.framing == .chunked && bytes.readableBytes > 0 ? Chunk.wrap(bytes) : bytes }

    /// The rest of the body, framed anew: its bytes stay as they are.
    private func upload(_ reader: MessageReader, _ body: BodyReader, _ waiting: ByteBuffer?, to upstream: ByteStream) async throws -> Half {
        var (reader, body) = (reader, body)
        if let waiting {
            do { try await upstream.write(framed(waiting)) } catch { return .uploadEnded }
            progress.sent(waiting.readableBytes)
        }
        while let part = try await next(&reader, &body) {
            do { try await upstream.write(framed(part)) } catch { return .uploadEnded }
            progress.sent(part.readableBytes)
        }
        if request.framing == .chunked {
            do { try await upstream.write(Chunk.last) } catch { return .uploadEnded }
        }
        return .uploaded(reader)
    }

    private func next(_ reader: inout MessageReader, _ body: inout BodyReader) async throws(CallError) -> ByteBuffer? {
        do {
            return try await reader.part(of: &body, within: times.silence)
        } catch let refusal as HTTPRefusal {
            throw .request(refusal)
        } catch is TimedOut {
            throw .tooSlow
        } catch {
            // A body that ends without close_notify is among these.
            throw .callerGone("\(error)")
        }
    }

    private func answer(from link: MessageReader) async throws -> Answered {
        var reader = link
        let head = try await finalHead(&reader)
        if let screening {
            switch try plan(head) {
            case .pass: break
            case .whole: return try await whole(head, &reader, screening)
            case .events: return try await events(head, &reader, screening)
            }
        }
        let answer: RouteAnswer
        do throws(HTTPRefusal) { answer = try RouteAnswer(head, to: request) } catch { throw CallError.upstreamAnswer(error.reason) }
        var body = BodyReader(answer.framing)
        var output = ByteBuffer(bytes: answer.wire)
        progress.begin(head.status)
        // The head waits for the first bytes of the body only where these are here already.
        if reader.buffer.readableBytes == 0 || body.isDone {
            try await tell(output)
            output.clear()
        }
        while let part = try await nextOfAnswer(&reader, &body) {
            if answer.isChunked { output.writeImmutableBuffer(Chunk.wrap(part)) } else { output.writeImmutableBuffer(part) }
            try await tell(output)
            output.clear()
            progress.received(part.readableBytes)
        }
        if answer.isChunked { output.writeImmutableBuffer(Chunk.last) }
        if output.readableBytes > 0 { try await tell(output) }
        return Answered(upstream: reader, callerStays: answer.callerStays, upstreamStays: answer.upstreamStays)
    }

    // MARK: Under a policy

    private func plan(_ head: ResponseHead) throws(CallError) -> AnswerScreen.Plan {
        let framing: BodyFraming
        do throws(HTTPRefusal) { framing = try BodyFraming(response: head, to: request.method) } catch { throw .upstreamAnswer(error.reason) }
        do throws(AnswerScreen.Problem) {
            return try AnswerScreen.plan(head, to: request.method, hasBody: !framing.isEmpty)
        } catch {
            throw .upstreamAnswer(error.reason)
        }
    }

    /// An answer that is read whole before its head goes to the caller, so that one that cannot be passed on is still answered.
    private func whole(_ head: ResponseHead, _ reader: inout MessageReader, _ screening: Screening) async throws -> Answered {
        var body = try bodyReader(head)
        var bytes: [UInt8] = []
        while let part = try await nextOfAnswer(&reader, &body) {
            bytes += part.readableBytesView
            guard bytes.count <= AnswerScreen.mostBytes else {
                throw CallError.upstreamAnswer("the upstream's answer has more than \(AnswerScreen.mostBytes) bytes, and a policy has to read it")
            }
        }
        let shown = try screened(screening) { () throws(AnswerScreen.Problem) in try screening.screen.screen(bytes) } ?? bytes
        let answer = try routeAnswer(head, .whole(length: shown.count))
        progress.begin(head.status)
        try await tell(ByteBuffer(bytes: answer.wire + shown))
        progress.received(shown.count)
        return Answered(upstream: reader, callerStays: answer.callerStays, upstreamStays: answer.upstreamStays)
    }

    /// An answer that is passed on event by event.
    private func events(_ head: ResponseHead, _ reader: inout MessageReader, _ screening: Screening) async throws -> Answered {
        let answer = try routeAnswer(head, .pieces)
        var body = try bodyReader(head)
        var stream = EventStream(limit: AnswerScreen.mostBytes)
        progress.begin(head.status)
        try await tell(ByteBuffer(bytes: answer.wire))
        while let part = try await nextOfAnswer(&reader, &body) {
            var output = ByteBuffer()
            let events: [EventStream.Event]
            do throws(EventStream.Problem) { events = try stream.feed(part.readableBytesView) } catch {
                throw CallError.upstreamAnswer(
                    error == .tooLarge
                        ? "an event of the upstream has more than \(AnswerScreen.mostBytes) bytes"
                        : "an event of the upstream holds a byte at which some readers end a line")
            }
            for event in events {
                output.writeBytes(try screened(screening) { () throws(AnswerScreen.Problem) in try screening.screen.screen(event) } ?? event.bytes)
            }
            guard output.readableBytes > 0 else { continue }
            try await tell(answer.isChunked ? Chunk.wrap(output) : output)
            progress.received(output.readableBytes)
        }
        if answer.isChunked { try await tell(Chunk.last) }
        return Answered(upstream: reader, callerStays: answer.callerStays, upstreamStays: answer.upstreamStays)
    }

    private func screened(
        _ screening: Screening, _ screen: () throws(AnswerScreen.Problem) -> AnswerScreen.Screened
    ) throws(CallError) -> [UInt8]? {
        do throws(AnswerScreen.Problem) {
            let screened = try screen()
            progress.hid(screened.hidden)
            screening.saw(screened)
            return screened.bytes
        } catch {
            throw .upstreamAnswer(error.reason)
        }
    }

    private func routeAnswer(_ head: ResponseHead, _ screened: RouteAnswer.Screened) throws(CallError) -> RouteAnswer {
        do throws(HTTPRefusal) { return try RouteAnswer(head, to: request, screened: screened) } catch { throw .upstreamAnswer(error.reason) }
    }

    private func bodyReader(_ head: ResponseHead) throws(CallError) -> BodyReader {
        do throws(HTTPRefusal) { return BodyReader(try BodyFraming(response: head, to: request.method)) } catch {
            throw .upstreamAnswer(error.reason)
        }
    }

    private func finalHead(_ reader: inout MessageReader) async throws -> ResponseHead {
        while true {
            let head: ResponseHead
            do {
                guard let lines = try await reader.head(idle: times.silence, whole: times.head) else {
                    throw CallError.upstreamAnswer("the upstream closed the connection without an answer")
                }
                head = try ResponseHead(lines: lines)
            } catch let refusal as HTTPRefusal {
                throw CallError.upstreamAnswer(refusal.reason)
            } catch let error as CallError {
                throw error
            } catch {
                throw CallError.upstreamAnswer("no answer of the upstream: \(error)")
            }
            guard head.isInterim else { return head }
            if request.minorVersion == 1, let bytes = RouteAnswer.interim(head) { try await tell(ByteBuffer(bytes: bytes)) }
        }
    }

    private func nextOfAnswer(_ reader: inout MessageReader, _ body: inout BodyReader) async throws(CallError) -> ByteBuffer? {
        do {
            return try await reader.part(of: &body, within: times.silence)
        } catch {
            throw .upstreamAnswer("the upstream's answer broke off: \((error as? HTTPRefusal)?.reason ?? "\(error)")")
        }
    }

    private func tell(_ bytes: ByteBuffer) async throws(CallError) {
        do { try await caller.write(bytes) } catch { throw .callerGone("\(error)") }
    }
}
