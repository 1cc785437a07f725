import NIOCore
import NIOPosix
import NIOSSL
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire
import Synchronization

/// The other end of a tunnel, which does what a test says on each connection: an edge, a connector, or something that poses as one.
final class ScriptedEnd: Sendable {
    typealias Script = @Sendable (Int, ByteStream) async throws -> Void

    private let server: NIOAsyncChannel<ByteStream, Never>
    let port: Int
    private let count = Mutex(0)

    private init() async throws {
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture { try ByteStream.attachInEventLoop(to: channel) }
            }
        port = server.channel.localAddress?.port ?? 0
    }

    /// Connections that came.
    var connections: Int { count.withLock { $0 } }

    /// - Parameter script: gets the connection's number, from 1. The connection ends with it.
    static func run(_ script: @escaping Script, _ body: @escaping @Sendable (ScriptedEnd) async throws -> Void) async throws {
        let end = try await ScriptedEnd()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await withThrowingDiscardingTaskGroup { group in
                    try await end.server.executeThenClose { inbound in
                        for try await stream in inbound {
                            let number = end.count.withLock { count in
                                count += 1
                                return count
                            }
                            group.addTask {
                                try? await script(number, stream)
                                await stream.closeGently(within: .seconds(1))
                            }
                        }
                    }
                }
            }
            try await body(end)
            group.cancelAll()
        }
    }
}

extension ByteStream {
    /// Speaks TLS as a server.
    /// - Parameter acceptsAnyClient: takes every client certificate, as an edge does that looks at it afterwards.
    func serveTLS(_ configuration: TLSConfiguration, acceptsAnyClient: Bool = false) async throws {
        let context = try NIOSSLContext(configuration: configuration)
        _ = try await startTLS(within: .seconds(10)) {
            guard acceptsAnyClient else { return NIOSSLServerHandler(context: context) }
            return NIOSSLServerHandler(
                context: context, customVerificationCallback: { _, promise in promise.succeed(.certificateVerified) }, configuration: .init())
        }
    }

    func send(_ text: String) async throws { try await write(ByteBuffer(string: text)) }
}

extension MessageReader {
    /// Head and body of the next request; `nil` at the end.
    mutating func request() async throws -> String? {
        guard let lines = try await head(idle: .seconds(30), whole: .seconds(10)) else { return nil }
        let head = try RequestHead(lines: lines)
        var body = BodyReader(head.body)
        var text = lines.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n") + "\n\n"
        while let part = try await part(of: &body, within: .seconds(10)) { text += String(buffer: part) }
        return text
    }
}

extension ScriptedEnd {
    /// A port on which nothing listens.
    static func closedPort() async throws -> Int {
        let end = try await ScriptedEnd()
        try await end.server.channel.close()
        return end.port
    }
}

/// A value that a closure sets and the test reads.
final class Box<Value: Sendable>: Sendable {
    private let held: Mutex<Value>
    init(_ value: Value) { held = Mutex(value) }
    var value: Value { held.withLock { $0 } }
    func set(_ value: Value) { held.withLock { $0 = value } }
    func change(_ body: @Sendable (inout Value) -> Void) { held.withLock { body(&$0) } }
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
