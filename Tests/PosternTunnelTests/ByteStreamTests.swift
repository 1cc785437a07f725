import NIOCore
import PosternHTTP
import PosternTunnelLink
import Testing

/// What is asked of a connection while it is being given up.
@Suite("Byte streams", .timeLimit(.minutes(1)))
struct ByteStreamTests {
    @Test("who is cancelled before watching for an end does not watch, and the next reader gets what comes")
    func cancelledWatch() async throws {
        let upstream = try await TestUpstream()
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await upstream.run() }
            let stream = try await TunnelClient.dial(upstream.port)
            defer { stream.close() }
            for index in 0..<20 {
                // As an exchange is whose answer came before its request was heard to be whole.
                let watch = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    try await stream.ended()
                }
                await #expect(throws: CancellationError.self) { try await watch.value }
                let racing = Task { try await stream.ended() }
                if index % 2 == 0 { await Task.yield() }
                racing.cancel()
                await #expect(throws: CancellationError.self) { try await racing.value }
                try await stream.write(ByteBuffer(string: "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"))
                var reader = MessageReader(stream)
                #expect(try await TunnelClient.read(&reader, method: "POST").body == "x")
            }
        }
    }
}
