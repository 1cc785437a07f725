import NIOPosix
import PosternJSON
import PosternMCP
import Synchronization
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The link over two pipes whose other ends the test holds.
@Suite(.timeLimit(.minutes(1))) struct StdioLinkTests {
    /// The server's side: blocking, on threads of its own.
    private final class Server: Sendable {
        let input: Int32
        let output: Int32
        private let isClosed = Mutex(false)
        private let reader = Mutex(LineReader(limit: 1 << 20))
        private let lines = Mutex<[[UInt8]]>([])

        init(input: Int32, output: Int32) {
            self.input = input
            self.output = output
        }

        /// The next message; nil at the end.
        func next() async throws -> JSONRPCMessage? {
            while true {
                if let line = lines.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
                    return try JSONRPCMessage.parse(line, allowsBatch: false).first
                }
                let input = input
                let bytes = try await NIOThreadPool.singleton.runIfActive {
                    var chunk = [UInt8](repeating: 0, count: 65_536)
                    let count = read(input, &chunk, chunk.count)
                    return Array(chunk.prefix(max(0, count)))
                }
                if bytes.isEmpty { return nil }
                let more = try reader.withLock { try $0.read(bytes) }
                lines.withLock { $0 += more }
            }
        }

        func write(_ text: String) async throws {
            let output = output
            try await NIOThreadPool.singleton.runIfActive {
                let bytes = Array(text.utf8)
                var offset = 0
                while offset < bytes.count {
                    let count = bytes[offset...].withUnsafeBytes { Glibc.write(output, $0.baseAddress, $0.count) }
                    guard count > 0 else { return }
                    offset += count
                }
            }
        }

        func answer(_ id: RequestID, _ result: JSONObject = [:]) async throws {
            try await write(JSONRPCMessage.response(id: id, result: result).json.text + "\n")
        }

        func end() {
            guard
                isClosed.withLock({ closed in
                    defer { closed = true }
                    return !closed
                })
            else { return }
            close(output)
            close(input)
        }
    }

    private static let context = WireContext(revision: .november2025)

    private static func request(_ id: Int64, _ method: String = "m") -> LinkRequest {
        LinkRequest(id: .number(id), method: method, params: nil, context: context)
    }

    private func connected<Value: Sendable>(
        limit: Int = 1 << 20, _ body: @escaping @Sendable (StdioLink, Server) async throws -> Value
    ) async throws -> Value {
        var (toServer, fromServer): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
        try #require(pipe(&toServer) == 0 && pipe(&fromServer) == 0)
        let server = Server(input: toServer[0], output: fromServer[1])
        defer { server.end() }
        let result: Result<Value, any Error> = try await StdioLink.with(
            output: fromServer[0], input: toServer[1], name: "test", messageLimit: limit
        ) { link async throws(MCPError) in
            do { return .success(try await body(link, server)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    @Test func answersComeInAnyOrder() async throws {
        try await connected { link, server in
            let results = try await withThrowingTaskGroup(of: (Int64, Int?).self) { group in
                for id in 1...20 as ClosedRange<Int64> {
                    group.addTask { (id, try await link.exchange(Self.request(id)) { _ in }.result["id"]?.int) }
                }
                group.addTask {
                    var ids: [RequestID] = []
                    while ids.count < 20, case .request(let id, _, _)? = try await server.next() { ids.append(id) }
                    for id in ids.reversed() { try await server.answer(id, ["id": id.json]) }
                    return (0, 0)
                }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            #expect(results.allSatisfy { Int($0.key) == $0.value } && results.count == 21)
        }
    }

    @Test func aCancelledRequestIsToldAndItsLateAnswerIsNobodys() async throws {
        try await connected { link, server in
            let call = Task { try await link.exchange(Self.request(1)) { _ in } }
            #expect(try await server.next() == .request(id: .number(1), method: "m", params: nil))
            call.cancel()
            guard case .notification("notifications/cancelled", let params)? = try await server.next() else {
                Issue.record("not told")
                return
            }
            #expect(params?["requestId"] == 1)
            await #expect(throws: MCPError.cancelled) { try await call.value }
            // Its number is not used again while its answer may come.
            await #expect(throws: MCPError.self) { try await link.exchange(Self.request(1)) { _ in } }
            let next = Task { try await link.exchange(Self.request(2)) { _ in }.result }
            #expect(try await server.next() == .request(id: .number(2), method: "m", params: nil))
            try await server.answer(.number(1), ["late": true])
            try await server.answer(.number(2), ["ok": true])
            #expect(try await next.value == ["ok": true])
        }
    }

    @Test func whatTheServerAsksIsAnsweredAndWhatItTellsIsHeard() async throws {
        try await connected { link, server in
            let heard = Mutex<[JSONRPCMessage]>([])
            let call = Task { try await link.exchange(Self.request(1)) { message in heard.withLock { $0.append(message) } } }
            _ = try await server.next()
            // A batch is a message in one revision only, which this is not.
            try await server.write("not json\n\n[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}]\n{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"ping\"}\n")
            #expect(try await server.next() == .response(id: .number(5), result: [:]))
            try await server.write("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\r\n")
            try await server.answer(.number(1))
            _ = try await call.value
            #expect(heard.withLock { $0 } == [.notification(method: "notifications/message", params: nil)])
        }
    }

    @Test func theEndOfTheServerEndsWhatWaits() async throws {
        try await connected { link, server in
            let call = Task { try await link.exchange(Self.request(1)) { _ in } }
            let listening = Task { try await link.listen(Self.context, begun: {}) { _ in } }
            _ = try await server.next()
            server.end()
            await #expect(throws: MCPError.outcomeUnknown("it has closed its output")) { try await call.value }
            await #expect(throws: MCPError.ended("it has closed its output")) { try await listening.value }
            await #expect(throws: MCPError.self) { try await link.exchange(Self.request(2)) { _ in } }
            await #expect(throws: MCPError.ended("it has closed its output")) {
                try await link.listen(Self.context, begun: { Issue.record("there is nobody who could tell") }) { _ in }
            }
        }
    }

    @Test func aMessageIsBounded() async throws {
        try await connected(limit: 1000) { link, server in
            let call = Task { try await link.exchange(Self.request(1)) { _ in } }
            _ = try await server.next()
            try await server.write(String(repeating: "x", count: 1001))
            await #expect(throws: MCPError.tooLarge("a message", limit: 1000)) { try await call.value }
        }
    }

}
