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
    /// For the rest of a request that the upstream has answered already.
    let rest: TimeAmount
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
        /// The upstream has answered and had its time to take the rest of the request.
        case tooLate
    }

    /// `reader` stands at the beginning of the request's body.
    func run(_ reader: MessageReader, _ link: UpstreamLink) async throws(CallError) -> Ended {
        do {
            return try await call(reader, link)
        } catch {
            link.stream.close()
            throw error as? CallError ?? .callerGone("\(error)")
        }
    }

    private func call(_ reader: MessageReader, _ link: UpstreamLink) async throws -> Ended {
        var (reader, body) = (reader, held?.rest ?? BodyReader(request.framing))
        let ready = try ready(&reader, &body)
        var wire = ByteBuffer(bytes: request.wire)
        if let ready { wire.writeImmutableBuffer(framed(ready)) }
        let isWhole = body.isDone && (held == nil || ready != nil)
        if isWhole, request.framing == .chunked { wire.writeImmutableBuffer(Chunk.last) }
        // Of a write that fails, nobody knows how much had gone.
        progress.leaves()
        do { try await watch.write(wire, to: link.stream, .upstream, within: limits.idle) } catch {
            throw CallError.upstreamConnection("\(error)")
        }
        let begun = ready?.readableBytes ?? 0
        if let ready { progress.sent(ready) }
        if request.expectsContinue, held == nil { try await tell(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")) }
        let callerWatch = CallerWatch(
            caller, of: link.stream, linger: request.outlivesCaller && limits.linger > .zero ? limits.linger : nil, progress: progress,
            outlived: outlived)
        defer { callerWatch.stop() }
        do {
            guard isWhole else { return try await halves(reader, body, begun: begun, link, callerWatch) }
            // The whole request went with its head, as nearly all do.
            progress.uploaded()
            callerWatch.begin()
            return ended(reader, try heard(try await answer(from: link.reader)), link)
        } catch {
            // What the watch does to the upstream shows as a fault of that; other faults are what they say.
            guard let cause = progress.now.cut, (error as? CallError)?.isOfUpstream != false else { throw error }
            throw cause
        }
    }

    private func halves(_ reader: MessageReader, _ body: BodyReader, begun: Int, _ link: UpstreamLink, _ callerWatch: CallerWatch) async throws
        -> Ended
    {
        try await withThrowingTaskGroup(of: Half.self) { group in
            group.addTask { try await upload(reader, body, begun: begun, to: link.stream) }
            group.addTask { .answered(try await answer(from: link.reader)) }
            defer { group.cancelAll() }
            var after: MessageReader?
            var early: Answered?
            while let half = try await next(of: &group, early) {
                switch half {
                case .uploaded(let reader):
                    after = reader
                    progress.uploaded()
                    if let early { return ended(reader, early, link) }
                    callerWatch.begin()
                case .uploadEnded where early == nil: break
                case .answered(let answered):
                    let answered = try heard(answered)
                    if let after { return ended(after, answered, link) }
                    // An upstream that goes on with its connection takes the rest of the request, though it has answered (RFC 9112, section 9.3). Another
                    // may have been quick: that the last of the request has gone may be told next.
                    early = answered
                    group.addTask { [rest = answered.upstreamStays ? rest : min(rest, .milliseconds(100))] in
                        try? await Task.sleep(for: .nanoseconds(rest.nanoseconds))
                        return .tooLate
                    }
                case .uploadEnded, .tooLate: return await cut(link)
                }
            }
            throw CallError.upstreamAnswer("the upstream closed the connection without an answer")
        }
    }

    /// An answer that its caller was there for.
    private func heard(_ answered: Answered) throws(CallError) -> Answered {
        guard !progress.now.isAlone else { throw .callerGone("it closed its side; the call was let end") }
        return answered
    }

    /// Where the caller has its answer already, what is wrong with the rest of the request takes nothing from it.
    private func next(of group: inout ThrowingTaskGroup<Half, any Error>, _ early: Answered?) async throws -> Half? {
        do {
            return try await group.next()
        } catch  where early != nil && !Task.isCancelled {
            return .uploadEnded
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

    /// A little of the body that is here already, which goes with the head in one segment. The rest waits, because the upstream may answer before it
    /// takes it all.
    private func ready(_ reader: inout MessageReader, _ body: inout BodyReader) throws(CallError) -> ByteBuffer? {
        guard held != nil || !request.expectsContinue else { return nil }
        let ready: ByteBuffer?
        if let held {
            ready = held.bytes.readableBytes <= 65_536 ? held.bytes : nil
        } else {
            do { ready = try reader.ready(of: &body, most: 65_536) } catch { throw .request(error) }
        }
        guard (held?.bytes ?? ready ?? ByteBuffer()).readableBytes <= limits.requestBytes else { throw .requestTooLarge(limits.requestBytes) }
        return ready
    }

    private func framed(_ bytes: ByteBuffer) -> ByteBuffer { request.framing == .chunked && bytes.readableBytes > 0 ? Chunk.wrap(bytes) : bytes }

    /// The body after the first `begun` bytes of it, framed anew: its bytes stay as they are.
    private func upload(_ reader: MessageReader, _ body: BodyReader, begun: Int, to upstream: ByteStream) async throws -> Half {
        var (reader, body) = (reader, body)
        var (sent, waited) = (begun, TimeAmount.zero)
        func send(_ part: ByteBuffer) async -> Bool {
            do { try await watch.write(framed(part), to: upstream, .upstream, within: limits.idle) } catch { return false }
            progress.sent(part)
            return true
        }
        if begun == 0, let bytes = held?.bytes, bytes.readableBytes > 0 {
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
