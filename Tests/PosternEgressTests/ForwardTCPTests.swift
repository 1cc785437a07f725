import Foundation
import Logging
import NIOCore
import NIOPosix
import PosternPolicy
import Testing

@testable import PosternEgress

/// The opaque forward: bytes both ways, half-closed ends, the bound, refusals.
@Suite(.timeLimit(.minutes(1))) struct ForwardTCPTests {
    typealias Client = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    /// A server that answers every connection with `serve`; a forward to it; a client connected to the forward.
    private func withForward(
        maximum: Int? = nil, audit: ForwardTestAudit = ForwardTestAudit(), dial: ForwardDial? = nil,
        serve: @escaping @Sendable (NIOAsyncChannelInboundStream<ByteBuffer>, NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws -> Void,
        _ body: @escaping @Sendable (NIOAsyncChannelInboundStream<ByteBuffer>, NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws -> Void
    ) async throws {
        let (target, listener) = (try ForwardSockets.listen(), try ForwardSockets.listen())
        let dialer = ForwardTestDialer(port: try ForwardSockets.port(of: target))
        let port = try ForwardSockets.port(of: listener)
        let forward = Forward(
            name: "queue", listenPort: 6_379, target: try Authority("queue.internal:6379"), kind: .tcp(maximumSent: maximum))
        let handler = try #require(TCPForward(forward, dial: dial ?? dialer.dial, audit: audit))
        let server = ForwardServer(handler, group: .singletonMultiThreadedEventLoopGroup, logger: Logger(label: "test"))
        let upstream = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(target) { channel in channel.eventLoop.makeCompletedFuture { try ByteChannel(wrapping: channel) } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run(descriptor: listener) }
            group.addTask {
                try await upstream.executeThenClose { accepted in
                    for try await channel in accepted { try? await channel.executeThenClose { try await serve($0, $1) } }
                }
            }
            let client = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .channelOption(.allowRemoteHalfClosure, value: true)
                .connect(host: "127.0.0.1", port: port) { channel in channel.eventLoop.makeCompletedFuture { try ByteChannel(wrapping: channel) } }
            try await client.executeThenClose { try await body($0, $1) }
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
        }
    }

    @Test func bytesPassAndHalvesCloseAlone() async throws {
        let audit = ForwardTestAudit()
        try await withForward(
            audit: audit,
            serve: { inbound, outbound in
                try await outbound.write(ByteBuffer(string: "hello, "))
                var count = 0
                for try await bytes in inbound { count += bytes.readableBytes }
                // The client has closed its half; the answer still arrives.
                try await outbound.write(ByteBuffer(string: "\(count) bytes"))
            },
            { inbound, outbound in
                for _ in 0..<100 { try await outbound.write(ByteBuffer(repeating: 7, count: 10_000)) }
                outbound.finish()
                var text = ""
                for try await bytes in inbound { text += String(buffer: bytes) }
                #expect(text == "hello, 1000000 bytes")
                let outcome = await audit.nextEnd()
                #expect(outcome == ForwardOutcome(end: .client, sent: 1_000_000, received: 20))
            })
        #expect(audit.all.first == .intent(.connect(dropped: []), connection: 1))
    }

    @Test func theBoundCutsBothDirections() async throws {
        for upwards in [true, false] {
            let audit = ForwardTestAudit()
            try await withForward(
                maximum: 1_000, audit: audit,
                serve: { inbound, outbound in
                    if !upwards { try await outbound.write(ByteBuffer(repeating: 1, count: 5_000)) }
                    var count = 0
                    for try await bytes in inbound { count += bytes.readableBytes }
                    #expect(count <= 1_000)
                },
                { inbound, outbound in
                    if upwards { try await outbound.write(ByteBuffer(repeating: 1, count: 5_000)) }
                    var count = 0
                    do { for try await bytes in inbound { count += bytes.readableBytes } } catch {}
                    #expect(count <= 1_000)
                    let outcome = await audit.nextEnd()
                    #expect(outcome?.end == .bound("max_sent of 1000 bytes is reached") && (outcome?.sent ?? 0) + (outcome?.received ?? 0) == 1_000)
                })
        }
    }

    @Test func nothingIsDialledUnrecorded() async throws {
        struct Full: Error {}
        let audit = ForwardTestAudit { _ in throw Full() }
        try await withForward(
            audit: audit,
            dial: { _ in
                Issue.record("dialled"); throw Full()
            }, serve: { _, _ in },
            { inbound, _ in
                var count = 0
                for try await bytes in inbound { count += bytes.readableBytes }
                #expect(count == 0)
            })
    }

    @Test func aSlowReaderHoldsTheSenderBack() async throws {
        // The server sends without end; the client reads nothing until the sender has stopped by itself.
        let sent = ForwardTestCounter()
        try await withForward(
            serve: { _, outbound in
                while true {
                    try await outbound.write(ByteBuffer(repeating: 1, count: 1 << 16))
                    sent.add(1 << 16)
                }
            },
            { inbound, _ in
                var iterator = inbound.makeAsyncIterator()
                _ = try await iterator.next()
                // Wait until the count stands still: the buffers between are full.
                var last = -1
                while last != sent.value {
                    last = sent.value
                    try await Task.sleep(for: .milliseconds(200))
                }
                #expect(last < 64 << 20)
                var read = 0
                while read < last, let bytes = try await iterator.next() { read += bytes.readableBytes }
                #expect(read >= last)
            })
    }
}
