import NIOCore
import NIOEmbedded
import Testing

@testable import PosternTunnelLink

/// What goes out of a leg's HTTP/2, before its TLS.
@Suite("Writes of a leg")
struct LegWriteTests {
    private func channel() throws -> EmbeddedChannel {
        let channel = EmbeddedChannel(handler: LegWriteHandler())
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/leg")).wait()
        return channel
    }

    private func sent(_ channel: EmbeddedChannel) throws -> [String] {
        var all: [String] = []
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { all.append(String(buffer: bytes)) }
        return all
    }

    @Test("small writes of one turn go out as one, in their order, and each hears of it")
    func joined() throws {
        let channel = try channel()
        var heard: [Int] = []
        for (index, text) in ["head", "body", "next"].enumerated() {
            let promise = channel.eventLoop.makePromise(of: Void.self)
            promise.futureResult.assumeIsolated().whenSuccess { heard.append(index) }
            channel.write(IOData.byteBuffer(ByteBuffer(string: text)), promise: promise)
            channel.flush()
        }
        #expect(try sent(channel).isEmpty && heard.isEmpty)
        channel.embeddedEventLoop.run()
        #expect(try sent(channel) == ["headbodynext"])
        #expect(heard == [0, 1, 2])
        _ = try channel.finish()
    }

    @Test("nothing overtakes a large write, which is not copied into another")
    func large() throws {
        let channel = try channel()
        let large = String(repeating: "x", count: 60_000)
        for text in ["a", large, "b", "c"] { channel.write(IOData.byteBuffer(ByteBuffer(string: text)), promise: nil) }
        channel.flush()
        channel.embeddedEventLoop.run()
        #expect(try sent(channel) == ["a", large, "bc"])
        _ = try channel.finish()
    }

    @Test("many small writes fill records and no more")
    func records() throws {
        let channel = try channel()
        let piece = String(repeating: "x", count: 5000)
        for _ in 0..<7 { channel.write(IOData.byteBuffer(ByteBuffer(string: piece)), promise: nil) }
        channel.flush()
        channel.embeddedEventLoop.run()
        #expect(try sent(channel).map(\.utf8.count) == [15_000, 15_000, 5000])
        _ = try channel.finish()
    }

    @Test("what was flushed goes out before the end, and what was not fails with it")
    func end() throws {
        let channel = try channel()
        channel.writeAndFlush(IOData.byteBuffer(ByteBuffer(string: "last")), promise: nil)
        channel.close(promise: nil)
        #expect(try sent(channel) == ["last"])

        let other = try self.channel()
        let promise = other.eventLoop.makePromise(of: Void.self)
        other.write(IOData.byteBuffer(ByteBuffer(string: "never flushed")), promise: promise)
        _ = try? other.finish()
        #expect(throws: (any Error).self) { try promise.futureResult.wait() }
    }
}
