import NIOCore
import PosternHTTP
import PosternTunnelLink

/// The part of a call that uses the network: the request goes to the upstream while its answer comes back, each read only as fast as the other
/// side takes it, and each piece passed on as it comes.
struct Exchange: Sendable {
    let caller: ByteStream
    let request: RouteRequest
    let limits: RouteLimits
    let progress: CallProgress
    let watch: WriteWatch
    let delivery: AnswerDelivery
    /// What was read of the request's body already; `nil` without a policy.
    var held: HeldBody?
    /// Hears that the caller went away and its call goes on.
    var outlived: @Sendable () -> Void = {}
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

    struct Answered: Sendable {
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
        /// Nobody has for as long as the route lets that be.
        case lingerOver
        /// The answer is there, and the request is still not whole.
        case uploadLate
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
        do { try await watch.write(ByteBuffer(bytes: request.wire), to: link.stream, .upstream, within: limits.idle) } catch {
            throw CallError.upstreamConnection("\(error)")
        }
        if request.expectsContinue, held == nil { try await tell(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")) }
        return try await withThrowingTaskGroup(of: Half.self) { group in
            group.addTask { try await upload(reader, to: link.stream) }
            group.addTask { .answered(try await answer(from: link.reader)) }
            defer { group.cancelAll() }
            var after: MessageReader?
            // The answer, once all of it has gone to the caller.
            var given: Answered?
            while true {
                let half: Half?
                do {
                    half = try await group.next()
                } catch {
                    // Who has the answer need not end the request.
                    guard given != nil else { throw error }
                    half = .uploadLate
                }
                guard let half else { break }
                switch half {
                case .uploaded(let reader):
                    after = reader
                    progress.uploaded()
                    guard given == nil else { break }
                    group.addTask {
                        try await caller.ended()
                        return .callerGone
                    }
                case .uploadEnded, .uploadLate: break
                case .callerGone:
                    // Revisions of MCP up to 2025-11-25: a disconnect is no cancelling, and the answer may be asked for again.
                    guard request.outlivesCaller, limits.linger > .zero else { throw CallError.callerGone("it closed its side while the call ran") }
                    progress.leaveAlone()
                    outlived()
                    group.addTask { [limits] in
                        try await Task.sleep(for: .nanoseconds(limits.linger.nanoseconds))
                        return .lingerOver
                    }
                case .lingerOver:
                    throw CallError.callerGone("it closed its side, and the call had not ended after the time that is left to it (limits.linger)")
                case .answered(let answered):
                    guard !progress.now.isAlone else { throw CallError.callerGone("it closed its side; the call was let end") }
                    given = answered
                    // A request that was sent whole may be heard of after the answer to it.
                    guard after == nil else { break }
                    group.addTask {
                        try await Task.sleep(for: Self.uploadGrace)
                        return .uploadLate
                    }
                    continue
                }
                guard let given else { continue }
                guard let after else {
                    // The rest of the request has nowhere to go, and what stands behind it cannot be found.
                    link.stream.close()
                    await caller.closeOutput()
                    return Ended()
                }
                let stays = given.upstreamStays && given.upstream.buffer.readableBytes == 0
                if !stays { link.stream.close() }
                return Ended(caller: given.callerStays ? after : nil, upstream: stays ? UpstreamLink(reader: given.upstream, answered: .now()) : nil)
            }
            throw CallError.upstreamAnswer("the upstream closed the connection without an answer")
        }
    }

    /// How long a request may go on after the whole answer to it.
    private static let uploadGrace = Duration.milliseconds(500)

    /// The body, framed anew: its bytes stay as they are.
    private func upload(_ reader: MessageReader, to upstream: ByteStream) async throws -> Half {
        var reader = reader
        var body = held?.rest ?? BodyReader(request.framing)
        var (sent, waited) = (0, TimeAmount.zero)
        func send(_ part: ByteBuffer) async -> Bool {
            let bytes = request.framing == .chunked ? Chunk.wrap(part) : part
            do { try await watch.write(bytes, to: upstream, .upstream, within: limits.idle) } catch { return false }
            progress.sent(part.readableBytes)
            return true
        }
        if let bytes = held?.bytes, bytes.readableBytes > 0 {
            guard await send(bytes) else { return .uploadEnded }
            sent = bytes.readableBytes
        }
        while true {
            let start = NIODeadline.now()
            guard let part = try await next(&reader, &body, within: limits.left(received: sent, waited: waited)) else { break }
            waited = waited + (.now() - start)
            sent += part.readableBytes
            guard sent <= limits.requestBytes else { throw CallError.requestTooLarge(limits.requestBytes) }
            guard await send(part) else { return .uploadEnded }
        }
        if request.framing == .chunked {
            do { try await watch.write(Chunk.last, to: upstream, .upstream, within: limits.idle) } catch { return .uploadEnded }
        }
        return .uploaded(reader)
    }

    private func next(_ reader: inout MessageReader, _ body: inout BodyReader, within time: TimeAmount) async throws(CallError) -> ByteBuffer? {
        let stalled = CallError.callerStalled(
            "the body of the request came more slowly than the route waits for (limits.idle, limits.request_bytes_per_second)")
        guard time > .zero || body.isDone else { throw stalled }
        do {
            return try await reader.part(of: &body, within: time)
        } catch let refusal as HTTPRefusal {
            throw .request(refusal)
        } catch is TimedOut {
            throw stalled
        } catch {
            // A body that ends without close_notify is among these.
            throw .callerGone("\(error)")
        }
    }

    func tell(_ bytes: ByteBuffer) async throws(CallError) {
        try await delivery.tell(bytes, outlives: request.outlivesCaller && limits.linger > .zero)
    }
}
