import NIOCore
import NIOPosix
import NIOSSL
import PosternHTTP
import PosternTunnelLink
import Synchronization

/// A private HTTP server behind a connector. What it does is in the path:
/// `/echo` gives the body back, `/head` the head, `/events` two pieces with a pause that the test ends, `/hold` nothing until the caller goes,
/// `/cut` half of what it promises, `/early` an answer before it takes the body, `/large/N` N bytes, `/mcp` what a test has set.
final class TestUpstream: Sendable {
    struct Seen: Sendable {
        var heads: [String] = []
        var connections = 0
        /// Connections that the other side has ended while a request was held.
        var gone = 0
        var bodies = 0
        /// Whole bodies of those requests to `/echo` that have an `X-Token`.
        var echoed: [String] = []
        /// Of requests to `/mcp`, as they came.
        var messages: [String] = []
        /// Bytes of large answers that the connection has taken.
        var sent = 0
    }
    private let seen = Mutex(Seen())
    let go = Gate()
    /// What `/mcp` answers with, head and all.
    let mcp = Mutex("")
    private let server: NIOAsyncChannel<ByteStream, Never>
    let port: Int
    private let tls: NIOSSLContext?

    /// - Parameter tls: with it the server speaks nothing else.
    init(tls: NIOSSLContext? = nil) async throws {
        self.tls = tls
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture { try ByteStream.attachInEventLoop(to: channel) }
            }
        port = server.channel.localAddress?.port ?? 0
    }

    var now: Seen { seen.withLock { $0 } }

    func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            try await server.executeThenClose { inbound in
                for try await stream in inbound {
                    seen.withLock { $0.connections += 1 }
                    group.addTask { [self] in try? await serve(stream) }
                }
            }
        }
    }

    private func serve(_ stream: ByteStream) async throws {
        defer { stream.close() }
        if let tls { _ = try await stream.startTLS(within: .seconds(20)) { NIOSSLServerHandler(context: tls) } }
        var reader = MessageReader(stream)
        while let lines = try await reader.head(idle: .seconds(60), whole: .seconds(10)) {
            let head = try RequestHead(lines: lines)
            let text = lines.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n")
            seen.withLock { $0.heads.append(text) }
            let path = String(decoding: head.target, as: UTF8.self)
            var body = BodyReader(head.body)
            if path == "/echo" {
                try await stream.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
                let isKept = head.fields.contains("x-token")
                var whole = ByteBuffer()
                while let part = try await reader.part(of: &body, within: .seconds(60)) {
                    if isKept { whole.writeImmutableBuffer(part) }
                    try await stream.write(Chunk.wrap(part))
                }
                try await stream.write(Chunk.last)
                seen.withLock { seen in
                    seen.bodies += 1
                    if isKept { seen.echoed.append(String(buffer: whole)) }
                }
                continue
            }
            if path == "/early" { try await answer(stream, "early") }
            var message = ByteBuffer()
            while let part = try await reader.part(of: &body, within: .seconds(60)) { if path == "/mcp" { message.writeImmutableBuffer(part) } }
            switch path {
            case "/mcp":
                seen.withLock { $0.messages.append(String(buffer: message)) }
                try await stream.write(ByteBuffer(string: mcp.withLock { $0 }))
            case "/early": seen.withLock { $0.bodies += 1 }
            case "/head": try await answer(stream, text)
            case "/events":
                try await stream.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"))
                await go.wait()
                try await stream.write(ByteBuffer(string: "data: 2\n\n"))
                return
            case "/hold":
                _ = try? await stream.read(within: .seconds(60))
                seen.withLock { $0.gone += 1 }
                return
            case "/cut":
                try await stream.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
                return
            default:
                let size = Int(path.dropFirst("/large/".count)) ?? 0
                try await stream.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n"))
                var left = size
                while left > 0 {
                    let piece = min(left, 60_000)
                    try await stream.write(ByteBuffer(repeating: UInt8(ascii: "x"), count: piece))
                    left -= piece
                    seen.withLock { $0.sent += piece }
                }
            }
        }
    }

    private func answer(_ stream: ByteStream, _ text: String) async throws {
        try await stream.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)"))
    }
}

/// Holds whoever waits until it is opened.
final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for one in waiting { one.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}
