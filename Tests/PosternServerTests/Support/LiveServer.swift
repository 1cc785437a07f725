import Hummingbird
import Logging
import NIOCore
import NIOPosix
import PosternCore
import ServiceLifecycle

@testable import PosternServer

/// Runs the fixture's server on a port that the system chooses.
func withLiveServer<Value: Sendable>(
    _ fixture: Fixture, _ body: @escaping @Sendable (_ port: Int) async throws -> Value
) async throws -> Value {
    let (ports, announce) = AsyncStream.makeStream(of: Int.self)
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let server = try buildServer(configuration: fixture.configuration, services: fixture.services, logger: logger) { announce.yield($0) }
    let group = ServiceGroup(configuration: .init(services: [server], logger: logger))
    return try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        tasks.addTask { try? await fixture.engine.run() }
        guard let port = await ports.first(where: { _ in true }) else { throw CancellationError() }
        let result: Result<Value, any Error>
        do { result = .success(try await body(port)) } catch { result = .failure(error) }
        await group.triggerGracefulShutdown()
        try await tasks.next()
        tasks.cancelAll()
        return try result.get()
    }
}

/// A connection that speaks bytes, for what an HTTP client hides.
struct RawClient: Sendable {
    let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    let inbound: NIOAsyncChannelInboundStream<ByteBuffer>

    static func connect<Value: Sendable>(_ port: Int, _ body: @escaping @Sendable (inout Reader, RawClient) async throws -> Value) async throws
        -> Value
    {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel) }
        }
        return try await channel.executeThenClose { inbound, outbound in
            var reader = Reader(iterator: inbound.makeAsyncIterator())
            return try await body(&reader, RawClient(outbound: outbound, inbound: inbound))
        }
    }

    func get(_ path: String, key: String, headers: [String] = []) async throws {
        let extra = headers.map { $0 + "\r\n" }.joined()
        try await outbound.write(
            ByteBuffer(string: "GET \(path) HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer \(key)\r\n\(extra)\r\n"))
    }

    struct Reader {
        var iterator: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
        var text = ""

        /// Reads until `wanted` has come; false when the connection ends first.
        mutating func read(until wanted: String) async throws -> Bool {
            while !text.contains(wanted) {
                guard let more = try await iterator.next() else { return false }
                text += String(buffer: more)
            }
            return true
        }

        /// Reads to the end of the chunked answer or the connection.
        mutating func readToEnd() async throws { _ = try await read(until: "\r\n0\r\n\r\n") }
    }
}
