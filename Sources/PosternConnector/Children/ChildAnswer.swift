import NIOCore
import PosternHTTP
import PosternMCP
import PosternTunnelLink
import PosternTunnelWire

/// What goes to a caller for its requests: JSON where the answer is all there is, an event stream where something came before it or it takes long.
struct ChildAnswer: Sendable {
    let stream: ByteStream

    /// Of silence, after which an answer becomes an event stream, and a stream says that it lives.
    private static let keepAlive = Duration.seconds(15)

    /// Returns when every request is answered.
    func run(_ inbox: ChildSession.Inbox, requests: Int, isBatch: Bool, era: Era) async throws {
        try await nudging(inbox) {
            var left = requests
            var isStream = false
            while left > 0 {
                let next = await inbox.next()
                if case .end = next { throw CancellationError() }
                if case .element(.answer(let bytes, let failure)) = next, !isStream, !isBatch {
                    let status = era == .modern ? ServerRefusal.status(ofError: failure) : 200
                    let fields = [("Content-Type", "application/json"), ("Content-Length", String(bytes.count))]
                    return try await stream.write(Self.head(status, fields) + bytes)
                }
                if !isStream { try await stream.write(Self.streamHead) }
                isStream = true
                if case .element(.answer) = next { left -= 1 }
                try await tell(next)
            }
            try await stream.write(Chunk.last)
        }
    }

    /// A stream without an end of its own.
    func listen(_ inbox: ChildSession.Inbox) async throws {
        try await nudging(inbox) {
            try await stream.write(Self.streamHead)
            while true {
                let next = await inbox.next()
                if case .end = next { break }
                try await tell(next)
            }
            try await stream.write(Chunk.last)
        }
    }

    private func tell(_ next: MessageQueue<ChildSession.Delivery>.Next) async throws {
        switch next {
        case .element(.answer(let bytes, _)), .element(.notice(let bytes)):
            // As the answers of other servers are passed on under a policy: no reader may end a line where another one does not.
            try await stream.write(Chunk.wrap(ByteBuffer(bytes: ServerEvent.message(LineBreaks.escaped(bytes)))))
        case .nudge: try await stream.write(Chunk.wrap(ByteBuffer(bytes: ServerEvent.keepAlive)))
        case .end: break
        }
    }

    private func nudging(_ inbox: ChildSession.Inbox, _ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body()
                return true
            }
            group.addTask {
                while (try? await Task.sleep(for: Self.keepAlive)) != nil { inbox.nudge() }
                return false
            }
            defer { group.cancelAll() }
            for try await isOver in group where isOver { break }
        }
    }

    private static let streamHead = head(
        200,
        [
            ("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache, no-transform"), ("X-Accel-Buffering", "no"),
            ("Transfer-Encoding", "chunked"),
        ])

    static func head(_ status: Int, _ fields: [(String, String)]) -> [UInt8] {
        var all = HTTPFields()
        for (name, value) in fields { all.append(name, value) }
        var output = Array("HTTP/1.1 \(status) \(HTTPStatus.phrase(status))\r\n".utf8)
        all.write(to: &output)
        return output
    }
}
