import NIOCore
import PosternHTTP
import PosternPolicy
import Synchronization

/// The part of a call that uses the network: the request goes out while the answer comes back.
struct Exchange: Sendable {
    let context: SessionContext
    let request: ForwardedRequest
    let prepared: PreparedCall
    let wire: [UInt8]
    private var spent: BudgetLedger.Call
    let progress: AnswerRelay.Progress
    /// Bytes that went upstream.
    private(set) var sent = 0

    init(
        context: SessionContext, request: ForwardedRequest, prepared: PreparedCall, wire: [UInt8], spent: BudgetLedger.Call,
        progress: AnswerRelay.Progress
    ) {
        self.context = context
        self.request = request
        self.prepared = prepared
        self.wire = wire
        self.spent = spent
        self.progress = progress
    }

    private enum Half: Sendable {
        case uploaded(Result<(client: MessageReader, sent: Int), any Error>)
        case answered(AnswerRelay.Ended)
    }

    /// The client's reader at its next request, `nil` when its connection is over.
    mutating func run(client: MessageReader, route: Dialer.Route, kept: inout UpstreamConnection?) async throws -> MessageReader? {
        var connection: UpstreamConnection
        if let ready = kept, ready.fits(request, route), isRepeatable || ready.isFresh(within: context.freshTime) {
            connection = ready
        } else {
            kept?.stream.close()
            connection = try await .open(to: request.destination, encrypted: request.encrypted, by: route, context)
        }
        kept = nil
        do {
            return try await attempt(client, connection, &kept)
        } catch  where connection.isUsed && isRepeatable && progress.state.withLock({ $0.status == nil }) && !Task.isCancelled {
            // The server had closed the kept connection. What it may have read of the request changes nothing there, and what leaves a second
            // time is counted a second time.
            connection.stream.close()
            let again = Upload(context: context, upstream: connection.stream, destination: request.destination, decision: prepared.decision)
            try await again.spend(wire.count, &spent)
            sent += wire.count
            connection = try await .open(to: request.destination, encrypted: request.encrypted, by: route, context)
            return try await attempt(client, connection, &kept)
        } catch {
            connection.stream.close()
            throw error
        }
    }

    /// Whether the request may be sent twice: it is safe (RFC 9110, section 9.2.1) and carries nothing. A server that has read a `PUT` or
    /// `DELETE` may have acted on it, and the audit would know of one.
    private var isRepeatable: Bool {
        guard case .none = prepared.body else { return false }
        return ["GET", "HEAD", "OPTIONS"].contains(request.head.method)
    }

    private mutating func attempt(
        _ client: MessageReader, _ connection: UpstreamConnection, _ kept: inout UpstreamConnection?
    ) async throws -> MessageReader? {
        let upstream = connection.stream
        let clientStream = client.stream
        let cut = { @Sendable in
            clientStream.abort()
            upstream.abort()
        }
        var next = client
        let ended: AnswerRelay.Ended
        let entry = LiveCalls.Entry(request: prepared.question, address: connection.address, prepared: prepared, cut: cut)
        (ended, next) = try await context.live.watching(entry) {
            [self] in try await exchange(client, connection)
        }
        sent += wire.count + uploadedBytes
        if ended.hasSwitched {
            let splice = Splice(
                client: clientStream, upstream: upstream, maximumSent: prepared.decision.maximumSent,
                maximumReceived: prepared.decision.maximumReceived, idle: context.idleTime, mask: AnswerMask(context.maskRules),
                watch: .init(body: BodyGuard(context.guardRules), destination: request.destination, rule: prepared.decision.rule))
            return try await passThrough(splice, next, ended.upstream, entry)
        }
        if ended.upstreamStays, ended.upstream.buffer.readableBytes == 0 {
            var connection = connection
            connection.reader = ended.upstream
            connection.answered = .now()
            kept = connection
        } else {
            upstream.close()
        }
        if ended.clientStays { return next }
        await clientStream.closeGently()
        return nil
    }

    private var uploadedBytes: Int {
        switch prepared.body {
        case .none: 0
        case .whole(let bytes): bytes.readableBytes
        case .stream(.length(let length), _): length
        case .stream: 0
        }
    }

    private func exchange(_ client: MessageReader, _ connection: UpstreamConnection) async throws -> (AnswerRelay.Ended, MessageReader) {
        try checkAgain(connection.address)
        var first = ByteBuffer(bytes: wire)
        if case .whole(let bytes) = prepared.body { first.writeImmutableBuffer(bytes) }
        try await connection.stream.write(first)
        let relay = AnswerRelay(
            context: context, client: client.stream, request: request, maximumReceived: prepared.decision.maximumReceived, progress: progress)
        guard case .stream(let framing, let begun) = prepared.body else { return (try await relay.run(from: connection.reader), client) }
        let upload = Upload(context: context, upstream: connection.stream, destination: request.destination, decision: prepared.decision)
        return try await withThrowingTaskGroup(of: Half.self) { group in
            group.addTask { [spent] in
                do {
                    return .uploaded(.success(try await upload.stream(framing, begun, from: client, spent)))
                } catch {
                    return .uploaded(.failure(error))
                }
            }
            group.addTask { .answered(try await relay.run(from: connection.reader)) }
            defer { group.cancelAll() }
            var after: MessageReader?
            var ended: AnswerRelay.Ended?
            while let half = try await group.next() {
                switch half {
                case .uploaded(.success(let result)): after = result.client
                case .uploaded(.failure(let refusal as CallRefusal)): throw refusal
                // A server may answer before it has read the whole body, and close.
                case .uploaded(.failure): break
                case .answered(let result): ended = result
                }
                if var ended {
                    if let after { return (ended, after) }
                    // The rest of the body has nowhere to go.
                    (ended.clientStays, ended.upstreamStays) = (false, false)
                    await client.stream.closeOutput()
                    return (ended, client)
                }
            }
            throw HTTPRefusal(502, "the server closed the connection without an answer")
        }
    }

    /// Asked again now that a cut would find this call: policy or secrets may have become narrower since it was decided.
    private func checkAgain(_ address: IPAddress?) throws(CallRefusal) {
        _ = try context.allow(prepared.question)
        if let address, let refusal = context.policy.addresses.refusal(of: address) {
            throw CallRefusal(refusal, request.destination, rule: prepared.decision.rule)
        }
        guard prepared.holds(under: context.secrets) else {
            throw CallRefusal(withdrawn: prepared.usedSecrets, request.destination, rule: prepared.decision.rule)
        }
    }

    /// After a switch of protocols bytes are passed on, counted and bounded; what comes back is masked.
    private func passThrough(
        _ splice: Splice, _ client: MessageReader, _ upstream: MessageReader, _ entry: LiveCalls.Entry
    ) async throws -> MessageReader? {
        let (destination, rule, context) = (request.destination, prepared.decision.rule, context)
        let (outcome, refusal) = try await context.live.watching(entry) { [spent] in
            try checkAgain(entry.address)
            return await splice.run(first: client.buffer, back: upstream.buffer, call: spent) { bytes, call in
                try await context.spend(bytes, &call, destination, rule: rule)
            }
        }
        progress.state.withLock { $0.received += outcome.received }
        if let refusal { try await context.record(refusal) }
        return nil
    }
}
