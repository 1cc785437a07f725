import NIOCore
import PosternHTTP
import PosternTunnelLink

/// The half of a call that comes back.
extension Exchange {
    func answer(from link: MessageReader) async throws -> Answered {
        var reader = link
        let first = try await finalHead(&reader)
        progress.answered()
        let framing: BodyFraming
        do throws(HTTPRefusal) { framing = try BodyFraming(response: first, to: request.method) } catch {
            throw CallError.upstreamAnswer(error.reason)
        }
        var flow = try delivery.open(first, framing: framing)
        defer { delivery.note(flow) }
        if let screening {
            switch try plan(flow.head, framing, screening.screen.policy.mode) {
            case .pass: break
            case .whole: return try await whole(&flow, framing, &reader, screening)
            case .events: return try await events(&flow, framing, &reader, screening)
            }
        }
        let answer = try routeAnswer(flow.head, flow.changesBytes ? .pieces : nil)
        var body = BodyReader(framing)
        var output = ByteBuffer(bytes: answer.wire)
        progress.begin(first.status)
        // The head waits for the first bytes of the body only where these are here already.
        if reader.buffer.readableBytes == 0 || body.isDone {
            try await tell(output)
            output.clear()
        }
        while let part = try await nextOfAnswer(&reader, &body, &flow) {
            progress.received(part.readableBytes)
            append(try delivery.pass(part, &flow), to: &output, answer)
            guard output.readableBytes > 0 else { continue }
            try await tell(output)
            output.clear()
        }
        append(try delivery.finish(&flow), to: &output, answer)
        if answer.isChunked { output.writeImmutableBuffer(Chunk.last) }
        if output.readableBytes > 0 { try await tell(output) }
        return Answered(upstream: reader, callerStays: answer.callerStays, upstreamStays: answer.upstreamStays)
    }

    private func append(_ piece: ByteBuffer, to output: inout ByteBuffer, _ answer: RouteAnswer) {
        guard piece.readableBytes > 0 else { return }
        progress.gave(piece)
        output.writeImmutableBuffer(answer.isChunked ? Chunk.wrap(piece) : piece)
    }

    // MARK: Under a policy

    /// A policy that only records lets through what it cannot read. What comes in pieces and turns out to be too much for memory is refused all the same.
    private func plan(_ head: ResponseHead, _ framing: BodyFraming, _ mode: RoutePolicy.Mode) throws(CallError) -> AnswerScreen.Plan {
        do throws(AnswerScreen.Problem) {
            let plan = try AnswerScreen.plan(head, to: request.method, hasBody: !framing.isEmpty)
            if mode == .dryRun, plan == .whole, case .length(let length) = framing, length > AnswerScreen.mostBytes { return .pass }
            return plan
        } catch {
            guard mode != .dryRun else { return .pass }
            throw .upstreamAnswer(error.reason)
        }
    }

    /// An answer that is read whole before its head goes to the caller, so that one that cannot be passed on is still answered.
    private func whole(
        _ flow: inout AnswerDelivery.Flow, _ framing: BodyFraming, _ reader: inout MessageReader, _ screening: Screening
    ) async throws -> Answered {
        var body = BodyReader(framing)
        var bytes: [UInt8] = []
        while let part = try await nextOfAnswer(&reader, &body, &flow) {
            bytes += part.readableBytesView
            guard bytes.count <= AnswerScreen.mostBytes else {
                throw CallError.upstreamAnswer("the upstream's answer has more than \(AnswerScreen.mostBytes) bytes, and a policy has to read it")
            }
        }
        let shown = try screened(screening) { () throws(AnswerScreen.Problem) in try screening.screen.screen(bytes) } ?? bytes
        var output = try delivery.pass(ByteBuffer(bytes: shown), &flow)
        output.writeImmutableBuffer(try delivery.finish(&flow))
        let answer = try routeAnswer(flow.head, .whole(length: output.readableBytes))
        progress.begin(flow.head.status)
        progress.received(output.readableBytes)
        progress.gave(output)
        var wire = ByteBuffer(bytes: answer.wire)
        wire.writeImmutableBuffer(output)
        try await tell(wire)
        return Answered(upstream: reader, callerStays: answer.callerStays, upstreamStays: answer.upstreamStays)
    }

    /// An answer that is passed on event by event.
    private func events(
        _ flow: inout AnswerDelivery.Flow, _ framing: BodyFraming, _ reader: inout MessageReader, _ screening: Screening
    ) async throws -> Answered {
        let answer = try routeAnswer(flow.head, .pieces)
        var body = BodyReader(framing)
        var stream = EventStream(limit: AnswerScreen.mostBytes)
        progress.begin(flow.head.status)
        try await tell(ByteBuffer(bytes: answer.wire))
        while let part = try await nextOfAnswer(&reader, &body, &flow) {
            var shown = ByteBuffer()
            let events: [EventStream.Event]
            do throws(EventStream.Problem) { events = try stream.feed(part.readableBytesView) } catch {
                throw CallError.upstreamAnswer(
                    error == .tooLarge
                        ? "an event of the upstream has more than \(AnswerScreen.mostBytes) bytes"
                        : "an event of the upstream holds a byte at which some readers end a line")
            }
            for event in events {
                shown.writeBytes(try screened(screening) { () throws(AnswerScreen.Problem) in try screening.screen.screen(event) } ?? event.bytes)
            }
            try await send(try delivery.pass(shown, &flow), answer)
        }
        try await send(try delivery.finish(&flow), answer)
        if answer.isChunked { try await tell(Chunk.last) }
        return Answered(upstream: reader, callerStays: answer.callerStays, upstreamStays: answer.upstreamStays)
    }

    private func send(_ piece: ByteBuffer, _ answer: RouteAnswer) async throws(CallError) {
        guard piece.readableBytes > 0 else { return }
        progress.received(piece.readableBytes)
        progress.gave(piece)
        try await tell(answer.isChunked ? Chunk.wrap(piece) : piece)
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
            guard screening.screen.policy.mode != .dryRun else { return nil }
            throw .upstreamAnswer(error.reason)
        }
    }

    private func routeAnswer(_ head: ResponseHead, _ screened: RouteAnswer.Screened?) throws(CallError) -> RouteAnswer {
        do throws(HTTPRefusal) { return try RouteAnswer(head, to: request, screened: screened) } catch { throw .upstreamAnswer(error.reason) }
    }

    // MARK: Reading

    private func finalHead(_ reader: inout MessageReader) async throws(CallError) -> ResponseHead {
        while true {
            var hasBegun = false
            let head: ResponseHead
            do {
                // Only the wait for its first byte can begin anew: what was read of a head is gone with its reader.
                hasBegun = try await reader.fill(within: patience)
                guard hasBegun, let lines = try await reader.head(idle: limits.head, whole: limits.head) else {
                    throw CallError.upstreamAnswer("the upstream closed the connection without an answer")
                }
                head = try ResponseHead(lines: lines)
            } catch let refusal as HTTPRefusal {
                throw .upstreamAnswer(refusal.reason)
            } catch let error as CallError {
                throw error
            } catch is TimedOut {
                // The time for an answer begins when the request is whole.
                if !hasBegun, patience > .zero { continue }
                throw .upstreamTimeout(
                    hasBegun
                        ? "the head of the upstream's answer was not whole in time (limits.head)"
                        : "the upstream did not begin its answer in time (limits.answer)")
            } catch {
                throw .upstreamAnswer("no answer of the upstream: \(error)")
            }
            guard head.isInterim else { return head }
            if request.minorVersion == 1, delivery.passesInterim, let bytes = RouteAnswer.interim(head) { try await tell(ByteBuffer(bytes: bytes)) }
        }
    }

    /// What is left for the first byte of an answer.
    private var patience: TimeAmount { progress.now.uploaded.map { $0 + limits.answer - .now() } ?? limits.answer }

    private func nextOfAnswer(
        _ reader: inout MessageReader, _ body: inout BodyReader, _ flow: inout AnswerDelivery.Flow
    ) async throws(CallError) -> ByteBuffer? {
        let part: ByteBuffer?
        do {
            part = try await reader.part(of: &body, within: limits.idle)
        } catch is TimedOut {
            throw .upstreamTimeout("the upstream's answer stopped for longer than the route waits (limits.idle)")
        } catch {
            throw .upstreamAnswer("the upstream's answer broke off: \((error as? HTTPRefusal)?.reason ?? "\(error)")")
        }
        // An end that the connector has made is not the answer's: one without a length and without chunks would look whole.
        if part == nil, let cause = progress.now.cut { throw cause }
        if let part { try await delivery.count(part, &flow) }
        return part
    }
}
