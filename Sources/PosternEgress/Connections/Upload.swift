import NIOCore
import PosternHTTP
import PosternPolicy

/// Sends the body of one request, watched for placeholders and counted against the budgets.
struct Upload: Sendable {
    let context: SessionContext
    let upstream: ByteStream
    let destination: Authority
    let decision: NetworkDecision

    /// Sends what has been read of a body, and then what is to come of it from `client`; the client's reader behind the body, and the bytes that
    /// were sent. Throws `CallRefusal` for what may not go on, after which the request is incomplete and its connection has to be closed.
    func stream(
        _ framing: BodyFraming, _ begun: GatheredBody, from client: MessageReader, _ call: BudgetLedger.Call
    ) async throws -> (client: MessageReader, sent: Int) {
        var client = client
        var call = call
        var body = begun.reader
        var watch = BodyGuard(context.guardRules)
        let isChunked = framing == .chunked
        var redaction = BodyRedaction(context.redaction, keepsLength: !isChunked)
        defer { context.report(redaction) }
        var sent = 0
        do {
            try await send(try redaction.feed(try watch.feed(begun.bytes)), &call, &sent, isChunked)
            while let part = try await client.part(of: &body, within: context.idleTime) {
                try await send(try redaction.feed(try watch.feed(part)), &call, &sent, isChunked)
            }
            try await send(try redaction.feed(watch.finish()), &call, &sent, isChunked)
            try await send(try redaction.finish(), &call, &sent, isChunked)
            if isChunked { try await upstream.write(Chunk.last) }
        } catch let misplaced as RequestSecrets.Misplaced {
            throw CallRefusal(misplaced, destination, rule: decision.rule)
        } catch let blocked as RedactionBlocked {
            throw CallRefusal(blocked, destination, rule: decision.rule)
        } catch let refusal as HTTPRefusal {
            throw CallRefusal(refusal, destination)
        }
        return (client, sent)
    }

    private func send(_ bytes: ByteBuffer, _ call: inout BudgetLedger.Call, _ sent: inout Int, _ isChunked: Bool) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await spend(bytes.readableBytes, &call)
        try await upstream.write(isChunked ? Chunk.wrap(bytes) : bytes)
        sent += bytes.readableBytes
    }

    /// Counts bytes against the rule's bound and the budgets, before they are sent.
    func spend(_ bytes: Int, _ call: inout BudgetLedger.Call) async throws {
        if let maximum = decision.maximumSent, call.sent + bytes > maximum {
            let overrun = BudgetLedger.Overrun(kind: .call, host: destination.host, limit: maximum, used: call.sent)
            throw CallRefusal(overrun, destination, rule: decision.rule)
        }
        try await context.spend(bytes, &call, destination, rule: decision.rule)
    }
}
