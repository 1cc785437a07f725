import NIOCore
import PosternPolicy

/// Passes bytes unread between the sandbox and one named host, up to a bound in each direction.
package struct TCPForward: ForwardServer.Handler {
    package let forward: Forward
    private let maximum: Int?
    private let dial: ForwardDial
    private let audit: any ForwardAudit

    /// `nil` if the forward is of another kind.
    package init?(_ forward: Forward, dial: @escaping ForwardDial, audit: any ForwardAudit) {
        guard case .tcp(let maximum) = forward.kind else { return nil }
        self.forward = forward
        self.maximum = maximum
        self.dial = dial
        self.audit = audit
    }

    package func serve(_ channel: any Channel, connection: Int) async {
        let totals = ForwardTotals()
        do {
            try await audit.intend(.connect(dropped: []), forward: forward, connection: connection)
            totals.begin()
            try await relay(channel, try await dial(forward.target), totals, connection)
        } catch let bound as BoundReached {
            totals.end(.bound(bound.description))
        } catch let spent as ForwardBudgetSpent {
            totals.end(.bound(spent.description))
        } catch {
            totals.end(.refused(printable("\(error)")))
        }
        channel.close(promise: nil)
        if let outcome = totals.outcome { await audit.ended(outcome, forward: forward, connection: connection) }
    }

    private func relay(_ channel: any Channel, _ upstream: any Channel, _ totals: ForwardTotals, _ connection: Int) async throws {
        defer { upstream.close(promise: nil) }
        let client = try await ByteChannel.taking(channel)
        try await client.executeThenClose { fromClient, toClient in
            let target = try await ByteChannel.taking(upstream)
            try await target.executeThenClose { fromTarget, toTarget in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await pass(fromClient, to: toTarget) { bytes in
                            try await audit.spend(bytes, forward: forward, connection: connection)
                            totals.count(sent: bytes)
                        }
                        totals.end(.client)
                    }
                    group.addTask {
                        try await pass(fromTarget, to: toClient) { totals.count(received: $0) }
                        totals.end(.upstream)
                    }
                    // One half may stay open after the other; an error ends both.
                    while try await group.next() != nil {}
                }
            }
        }
    }

    private struct BoundReached: Error, CustomStringConvertible {
        let maximum: Int
        var description: String { "max_sent of \(maximum) bytes is reached" }
    }

    private func pass(
        _ source: NIOAsyncChannelInboundStream<ByteBuffer>, to target: NIOAsyncChannelOutboundWriter<ByteBuffer>, count: (Int) async throws -> Void
    ) async throws {
        var room = maximum ?? .max
        for try await bytes in source {
            let allowed = bytes.getSlice(at: bytes.readerIndex, length: min(room, bytes.readableBytes)) ?? ByteBuffer()
            room -= allowed.readableBytes
            try await count(allowed.readableBytes)
            try await target.write(allowed)
            if allowed.readableBytes < bytes.readableBytes { throw BoundReached(maximum: maximum ?? .max) }
        }
        target.finish()
    }
}
