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
        do { try await link.stream.write(request.wire) } catch { throw CallError.upstreamConnection("\(error)") }
        if request.expectsContinue { try await tell(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")) }
        return try await withThrowingTaskGroup(of: Half.self) { group in
            group.addTask { try await upload(reader, to: link.stream) }
            group.addTask { .answered(try await answer(from: link.reader)) }
            defer { group.cancelAll() }
            var after: MessageReader?
            while let half = try await group.next() {
                switch half {
                case .uploaded(let reader):
                    after = reader
                    group.addTask {
                        try await caller.ended()
                        return .callerGone
                    }
                case .uploadEnded: break
                case .callerGone: throw CallError.callerGone("it closed its side while the call ran")
                case .answered(let answered):
                    guard let after else {
                        // The rest of the request has nowhere to go, and what stands behind it cannot be found.
                        link.stream.close()
                        await caller.closeOutput()
                        return Ended()
                    }
                    let stays = answered.upstreamStays && answered.upstream.buffer.readableBytes == 0
                    if !stays { link.stream.close() }
                    return Ended(
                        caller: answered.callerStays ? after : nil, upstream: stays ? UpstreamLink(reader: answered.upstream, answered: .now()) : nil)
                }
            }
            throw CallError.upstreamAnswer("the upstream closed the connection without an answer")
        }
    }

    /// The body, framed anew: its bytes stay as they are.
    private func upload(_ reader: MessageReader, to upstream: ByteStream) async throws -> Half {
        var reader = reader
        var body = BodyReader(request.framing)
        while let part = try await next(&reader, &body) {
            do { try await upstream.write(request.framing == .chunked ? Chunk.wrap(part) : part) } catch { return .uploadEnded }
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
