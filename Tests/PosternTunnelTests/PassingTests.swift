import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import PosternTunnelLink

/// One direction of a relayed call, without a network.
@Suite("Passing bytes on")
struct PassingTests {
    /// Two channels with a direction from the first to the second.
    private final class Pair {
        let loop = EmbeddedEventLoop()
        let source: EmbeddedChannel
        let sink: EmbeddedChannel
        let asked = Asked()
        let progress = PassingProgress()
        var end: Result<Void, any Error>?

        init(before: String? = nil, hasEnded: Bool = false, owing: Int = 1000, look: (@Sendable (ByteBuffer) -> Duration?)? = nil) throws {
            source = EmbeddedChannel(loop: loop)
            sink = EmbeddedChannel(handler: Held(), loop: loop)
            for channel in [source, sink] {
                try channel.connect(to: SocketAddress(unixDomainSocketPath: "/side")).wait()
                try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            }
            let done = loop.makePromise(of: Void.self)
            done.futureResult.assumeIsolated().whenComplete { self.end = $0 }
            let passing = PassingHandler(to: sink, progress, owing: owing, look: look, done: done)
            try source.pipeline.syncOperations.addHandlers([asked, passing])
            passing.begin(.init(bytes: before.map(ByteBuffer.init(string:)), hasEnded: hasEnded, failure: nil))
            loop.run()
        }

        func come(_ count: Int) throws {
            try source.writeInbound(ByteBuffer(repeating: 1, count: count))
            loop.run()
        }

        var held: Held { get throws { try sink.pipeline.syncOperations.handler(type: Held.self) } }
    }

    /// Counts how often somebody asks for more.
    private final class Asked: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        var count = 0
        func read(context: ChannelHandlerContext) { count += 1 }
    }

    /// Takes what is written when a test says so.
    private final class Held: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        var promises: [EventLoopPromise<Void>] = []
        var bytes = 0
        var isEnded = false

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            bytes += unwrapOutboundIn(data).readableBytes
            if let promise { promises.append(promise) }
        }

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            if mode == .output {
                isEnded = true
                promise?.succeed()
            } else {
                context.close(mode: mode, promise: promise)
            }
        }

        func take() {
            let taken = promises
            promises = []
            for promise in taken { promise.succeed() }
        }
    }

    private func close(_ pair: Pair) throws {
        try pair.held.take()
        _ = try? pair.source.finish()
        try pair.held.take()
        _ = try? pair.sink.finish()
        pair.loop.run()
    }

    @Test("no more is asked for while the other side owes too much, and again when it has taken it")
    func pressure() throws {
        let pair = try Pair()
        #expect(pair.asked.count == 1)
        try pair.come(1000)
        #expect(pair.asked.count == 2)
        try pair.come(1)
        #expect(pair.asked.count == 2)
        let held = try pair.held
        #expect(held.bytes == 1001 && pair.progress.bytes == 1001)
        held.take()
        pair.loop.run()
        #expect(pair.asked.count == 3)
        try close(pair)
    }

    @Test("where it may owe nothing, nothing is asked for before it has taken each byte, those from before too")
    func owingNothing() throws {
        let pair = try Pair(before: "first", owing: 0)
        #expect(pair.asked.count == 0 && pair.progress.owedSince != nil)
        let held = try pair.held
        held.take()
        pair.loop.run()
        #expect(pair.asked.count == 1 && pair.progress.owedSince == nil)
        try pair.come(1)
        #expect(pair.asked.count == 1 && pair.progress.owedSince != nil)
        held.take()
        pair.loop.run()
        #expect(pair.asked.count == 2 && pair.progress.owedSince == nil)
        try close(pair)
    }

    @Test("whoever looks may have it wait, and what is owed is waited for besides")
    func paced() throws {
        for isTakenFirst in [true, false] {
            let pair = try Pair(owing: 0, look: { $0.readableBytes > 10 ? .seconds(5) : nil })
            let held = try pair.held
            try pair.come(10)
            held.take()
            pair.loop.run()
            #expect(pair.asked.count == 2)
            try pair.come(11)
            #expect(held.bytes == 21)
            if isTakenFirst { held.take() } else { pair.loop.advanceTime(by: .seconds(5)) }
            pair.loop.run()
            #expect(pair.asked.count == 2)
            if isTakenFirst { pair.loop.advanceTime(by: .seconds(5)) } else { held.take() }
            pair.loop.run()
            #expect(pair.asked.count == 3)
            try close(pair)
        }
    }

    @Test("several pieces at once wait for what all of them cost, and not for each of them anew")
    func pacedTogether() throws {
        let seconds = Mutex(0)
        let pair = try Pair(
            look: { _ in
                seconds.withLock { debt in
                    debt += 1
                    return .seconds(debt)
                }
            })
        for _ in 0..<4 { pair.source.pipeline.fireChannelRead(ByteBuffer(string: "x")) }
        pair.source.pipeline.fireChannelReadComplete()
        try pair.held.take()
        pair.loop.run()
        #expect(pair.asked.count == 1)
        pair.loop.advanceTime(by: .seconds(4))
        #expect(pair.asked.count == 2)
        try close(pair)
    }

    @Test("what came before a break is passed on first")
    func bytesBeforeBreak() throws {
        struct Broken: Error {}
        let pair = try Pair()
        pair.source.pipeline.fireChannelRead(ByteBuffer(string: "last"))
        pair.source.pipeline.fireErrorCaught(Broken())
        #expect(try pair.held.bytes == 4)
        #expect(throws: Broken.self) { try #require(pair.end).get() }
        try close(pair)
    }

    @Test("the end is told after the last byte was taken, also of a side that had ended before")
    func end() throws {
        for early in [false, true] {
            let pair = try Pair(before: "first", hasEnded: early)
            if !early { pair.source.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
            let held = try pair.held
            #expect(held.bytes == 5 && !held.isEnded && pair.end == nil)
            held.take()
            pair.loop.run()
            #expect(held.isEnded)
            #expect(throws: Never.self) { try #require(pair.end).get() }
            try close(pair)
        }
    }

    @Test("what breaks either side ends the direction with its reason")
    func failures() throws {
        struct Broken: Error {}
        let read = try Pair()
        read.source.pipeline.fireErrorCaught(Broken())
        #expect(throws: Broken.self) { try #require(read.end).get() }
        try close(read)

        let write = try Pair()
        try write.come(10)
        let held = try write.held
        for promise in held.promises { promise.fail(Broken()) }
        held.promises = []
        write.loop.run()
        #expect(throws: Broken.self) { try #require(write.end).get() }
        try close(write)
    }
}
