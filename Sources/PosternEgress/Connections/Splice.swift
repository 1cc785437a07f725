import NIOCore
import PosternPolicy
import Synchronization

/// Passes bytes both ways until both sides have ended, one side breaks, or a bound is reached. Each side waits for the other.
struct Splice: Sendable {
    let client: ByteStream
    let upstream: ByteStream
    let maximumSent: Int?
    let maximumReceived: Int?
    /// A direction that is silent for so long ends the connection.
    let idle: TimeAmount
    /// Keeps secrets out of what comes back; `nil` where nothing is readable.
    var mask: AnswerMask?

    private struct BoundReached: Error, CustomStringConvertible {
        let description: String
    }

    /// `first` goes upstream before all else. `spend` is asked before bytes are sent; what it refuses with is given back.
    func run(
        first: ByteBuffer, call: BudgetLedger.Call, spend: @escaping @Sendable (Int, inout BudgetLedger.Call) async throws -> Void
    ) async -> (outcome: EgressOutcome, refusal: CallRefusal?) {
        let sent = Mutex(0)
        let received = Mutex(0)
        var failure: String?
        var refused: CallRefusal?
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    var call = call
                    var piece: ByteBuffer? = first
                    while let bytes = piece {
                        let total = sent.withLock { $0 } + bytes.readableBytes
                        if let maximumSent, total > maximumSent { throw BoundReached(description: "max_sent of \(maximumSent) bytes is reached") }
                        try await spend(bytes.readableBytes, &call)
                        try await upstream.write(bytes)
                        sent.withLock { $0 = total }
                        piece = try await client.read(within: idle)
                    }
                    await upstream.closeOutput()
                }
                group.addTask {
                    var mask = mask
                    while let bytes = try await upstream.read(within: idle) {
                        let total = received.withLock { $0 } + bytes.readableBytes
                        if let maximumReceived, total > maximumReceived {
                            throw BoundReached(description: "max_received of \(maximumReceived) bytes is reached")
                        }
                        received.withLock { $0 = total }
                        try await client.write(mask?.feed(bytes) ?? bytes)
                    }
                    if let rest = mask?.finish() { try await client.write(rest) }
                    await client.closeOutput()
                }
                try await group.waitForAll()
            }
        } catch let refusal as CallRefusal {
            refused = refusal
            failure = refusal.report.reason
        } catch {
            failure = printable("\(error)")
        }
        client.close()
        upstream.close()
        return (EgressOutcome(sent: sent.withLock { $0 }, received: received.withLock { $0 }, failure: failure), refused)
    }
}
