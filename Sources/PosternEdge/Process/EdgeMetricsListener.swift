import NIOCore
import NIOPosix
import PosternHTTP
import PosternTelemetry
import PosternTunnelLink
import Synchronization

/// Answers `GET /metrics` on a listening socket that the edge was handed: one that is confined makes none besides its own.
package struct EdgeMetricsListener: Sendable {
    private let listener: Int32
    private let registry: MetricsRegistry
    private let running = Running()

    /// Connections at once; more are closed.
    private static let most = 16

    private final class Running: Sendable {
        private let count = Mutex(0)

        func enter() -> Bool {
            count.withLock { count in
                guard count < EdgeMetricsListener.most else { return false }
                count += 1
                return true
            }
        }

        func leave() { count.withLock { $0 -= 1 } }
    }

    /// - Parameter listener: a socket that listens; it is owned from now on.
    package init(listener: Int32, registry: MetricsRegistry) {
        self.listener = listener
        self.registry = registry
    }

    /// Runs until it is cancelled.
    package func run() async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).childChannelOption(.autoRead, value: false)
            .bind(listener) { channel in channel.eventLoop.makeCompletedFuture { try ByteStream.attachInEventLoop(to: channel) } }
        try await withThrowingDiscardingTaskGroup { group in
            try await server.executeThenClose { inbound in
                for try await stream in inbound {
                    guard running.enter() else {
                        stream.close()
                        continue
                    }
                    group.addTask {
                        await answer(stream)
                        running.leave()
                    }
                }
            }
        }
    }

    private func answer(_ stream: ByteStream) async {
        var reader = MessageReader(stream)
        defer { stream.close() }
        guard let lines = try? await reader.head(idle: .seconds(5), whole: .seconds(5)), let head = try? RequestHead(lines: lines) else { return }
        let isAsked = head.target.elementsEqual("/metrics".utf8) && ["GET", "HEAD"].contains(head.method)
        let body = isAsked ? registry.rendered() : "only GET /metrics is here\n"
        let status = isAsked ? "200 OK" : "404 Not Found"
        let type = isAsked ? MetricsRegistry.contentType : "text/plain; charset=utf-8"
        let text = "HTTP/1.1 \(status)\r\nContent-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n"
        try? await stream.write(Array((text + (head.method == "HEAD" ? "" : body)).utf8))
        await stream.closeGently()
    }
}
