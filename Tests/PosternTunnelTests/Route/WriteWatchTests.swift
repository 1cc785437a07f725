import NIOCore
import NIOPosix
import PosternHTTP
import PosternTunnelLink
import Testing

@testable import PosternConnector

@Suite("Writes that are watched", .timeLimit(.minutes(1)))
struct WriteWatchTests {
    /// What a peer that reads nothing does to one write of so many bytes.
    private static func write(_ count: Int) async throws {
        let door = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).childChannelOption(.autoRead, value: false)
            .bind(host: "127.0.0.1", port: 0).get()
        defer { door.close(promise: nil) }
        let stream = try await TunnelClient.dial(try #require(door.localAddress?.port))
        defer { stream.close() }
        try await WriteWatch.write(ByteBuffer(repeating: 0, count: count), to: stream, within: .milliseconds(200))
    }

    @Test("a refusal that its caller does not take is given up in time, one that the connection takes is written")
    func refusal() async throws {
        await #expect(throws: TimedOut.self) { try await Self.write(64 << 20) }
        try await Self.write(1024)
    }
}
