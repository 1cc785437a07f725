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
    /// Keeps placeholders out of what goes upstream; `nil` where nothing is readable.
    var watch: Watch?

    /// What goes upstream is looked at, and what a placeholder in it is answered with.
    struct Watch: Sendable {
        var body: BodyGuard
        let destination: Authority
        let rule: String?

        /// Throws `CallRefusal` for bytes that complete a placeholder.
        mutating func check(_ bytes: ByteBuffer) throws(CallRefusal) {
            do throws(RequestSecrets.Misplaced) {
                try body.check(bytes)
            } catch {
                throw CallRefusal(
                    RequestSecrets.Misplaced(secret: error.secret, place: "what follows the switch of protocols"), destination, rule: rule)
            }
        }
    }

    private struct BoundReached: Error, CustomStringConvertible {
        let description: String
    }

    /// `first` goes upstream before all else, and `back`, which the server has sent already, to the client. `spend` is asked before bytes
    /// are sent; what it refuses with is given back.
    func run(
        first: ByteBuffer, back: ByteBuffer = ByteBuffer(), call: BudgetLedger.Call,
        spend: @escaping @Sendable (Int, inout BudgetLedger.Call) async throws -> Void
    ) async -> (outcome: EgressOutcome, refusal: CallRefusal?) {
        let sent = ByteCount()
        let received = ByteCount()
        let hasEnded = ByteCount()
        var failure: String?
        var refused: CallRefusal?
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    var call = call
                    var watch = watch
                    var piece: ByteBuffer? = first
                    while let bytes = piece {
                        let total = sent.value + bytes.readableBytes
                        if let maximumSent, total > maximumSent { throw BoundReached(description: "max_sent of \(maximumSent) bytes is reached") }
                        try watch?.check(bytes)
                        try await spend(bytes.readableBytes, &call)
                        do {
                            try await upstream.write(bytes)
                        } catch  where hasEnded.value > 0 {
                            // The server has sent all and is gone: what the client adds (its farewell in TLS) has nowhere to go.
                            return
                        }
                        sent.add(bytes.readableBytes)
                        piece = try await client.read(within: idle)
                    }
                    await upstream.closeOutput()
                }
                group.addTask {
                    var mask = mask
                    var piece = back.readableBytes > 0 ? back : try await upstream.read(within: idle)
                    while let bytes = piece {
                        let total = received.value + bytes.readableBytes
                        if let maximumReceived, total > maximumReceived {
                            throw BoundReached(description: "max_received of \(maximumReceived) bytes is reached")
                        }
                        received.add(bytes.readableBytes)
                        try await client.write(mask?.feed(bytes) ?? bytes)
                        piece = try await upstream.read(within: idle)
                    }
                    hasEnded.add(1)
                    if let rest = mask?.finish() { try await client.write(rest) }
                    await client.closeOutput()
                }
                // Not `waitForAll`, which would go on waiting for one half after the other has failed.
                while try await group.next() != nil {}
            }
        } catch let refusal as CallRefusal {
            refused = refusal
            failure = refusal.report.reason
        } catch {
            failure = printable("\(error)")
        }
        client.close()
        upstream.close()
        return (EgressOutcome(sent: sent.value, received: received.value, failure: failure), refused)
    }
}

/// A count that two tasks share.
final class ByteCount: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }

    func add(_ bytes: Int) { count.withLock { $0 += bytes } }
}
