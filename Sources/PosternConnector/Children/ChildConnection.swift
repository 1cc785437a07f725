import NIOCore
import PosternHTTP
import PosternMCP
import PosternTunnelLink
import PosternTunnelWire

/// The connector's own server of Streamable HTTP in front of a route's children: requests of one caller, one after the other.
struct ChildConnection: Sendable {
    let stream: ByteStream
    let owner: RuntimeIdentity
    let route: ChildRoute

    /// Between two requests, and between two pieces of one. The route's limits, on the other side of the pair, end a call before that.
    private static let silence = TimeAmount.minutes(30)
    /// Bytes of one request's body.
    static let longestBody = 4 << 20
    /// Where MCP is; elsewhere there is nothing.
    static let path = Array("/mcp".utf8)

    /// Returns when the connection has ended.
    func run() async {
        var reader: MessageReader? = MessageReader(stream)
        while let next = reader { reader = try? await serve(next) }
        await stream.closeOutput()
        stream.close()
    }

    /// One request; the reader behind it, `nil` where the connection is over.
    private func serve(_ reader: MessageReader) async throws -> MessageReader? {
        var reader = reader
        guard let lines = try await reader.head(idle: Self.silence, whole: route.times.head) else { return nil }
        let head = try RequestHead(lines: lines)
        let body: [UInt8]
        do {
            body = try await reader.body(head.body, most: Self.longestBody, idle: Self.silence, until: .distantFuture)
        } catch let error as BodyTooLarge {
            try await refuse(ServerRefusal(413, "a message has at most \(error.most) bytes"))
            return nil
        }
        do {
            guard head.target.prefix(while: { $0 != UInt8(ascii: "?") }).elementsEqual(Self.path) else {
                throw ServerRefusal(404, "MCP is at \(String(decoding: Self.path, as: UTF8.self)) here, and nothing is elsewhere")
            }
            try await perform(try Self.request(head, body).decide())
        } catch let refusal as ServerRefusal {
            try await refuse(refusal)
        }
        return reader
    }

    private static func request(_ head: RequestHead, _ body: [UInt8]) -> ServerRequest {
        // A field that stands twice says nothing.
        func one(_ name: String) -> String? {
            let fields = head.fields.named(name)
            return fields.count == 1 ? fields[0].text : fields.isEmpty ? nil : ""
        }
        var request = ServerRequest(method: head.method, body: body)
        let accept = head.fields.named("accept").map(\.text)
        request.accept = accept.isEmpty ? nil : accept.joined(separator: ",")
        request.contentType = one("content-type")
        request.session = one("mcp-session-id")
        request.revision = one("mcp-protocol-version")
        request.methodHeader = one("mcp-method")
        request.nameHeader = one("mcp-name")
        return request
    }

    private func perform(_ decision: ServerRequest.Decision) async throws {
        switch decision {
        case .open(let message): try await open(message)
        case .send(let id, let messages, let isBatch):
            let session = try route.enter(id, owner)
            defer { route.leave(id) }
            let requests = messages.count(where: \.isRequest)
            guard requests > 0 else {
                try await session.send(messages, on: 0)
                return try await write(202)
            }
            try await call(session, messages, isBatch: isBatch)
        case .listen(let id):
            let session = try route.enter(id, owner)
            defer { route.leave(id) }
            guard let inbox = session.listen() else { throw ServerRefusal(409, "the session has a stream that listens already") }
            defer { session.stopListening(inbox) }
            try await whileHeard { try await ChildAnswer(stream: stream).listen(inbox) }
        case .end(let id):
            _ = try route.enter(id, owner)
            route.end(id, ChildRoute.unknownSession)
            try await write(204)
        case .alone(let message): try await alone(message)
        case .passedOver: try await write(202)
        }
    }

    private func call(_ session: ChildSession, _ messages: [RawMessage], isBatch: Bool) async throws {
        let (number, inbox) = session.open()
        defer { session.close(number) }
        try await whileHeard {
            try await session.send(messages, on: number)
            try await ChildAnswer(stream: stream).run(inbox, requests: messages.count(where: \.isRequest), isBatch: isBatch, era: session.era)
        }
    }

    /// `initialize`: the session is there once the server has agreed.
    private func open(_ message: RawMessage) async throws {
        let (id, session) = try route.open(owner, .handshake)
        var stays = false
        defer { if stays { route.leave(id) } else { route.end(id, ChildRoute.unknownSession) } }
        let (number, inbox) = session.open()
        defer { session.close(number) }
        let answer: [UInt8] = try await whileHeard {
            try await session.send([message], on: number)
            guard let answer = await self.answer(on: inbox) else {
                throw ServerRefusal(504, "the server of this route did not answer initialize in time", id: message.text(.id))
            }
            return answer
        }
        stays = session.opened(answer)
        try await write(200, [("Content-Type", "application/json")] + (stays ? [("Mcp-Session-Id", id)] : []), answer)
    }

    /// `nil` when none comes in time.
    private func answer(on inbox: ChildSession.Inbox) async -> [UInt8]? {
        await withTaskGroup(of: [UInt8]?.self) { group in
            group.addTask { await ChildSession.answer(on: inbox) }
            group.addTask {
                try? await Task.sleep(for: .nanoseconds(route.times.child.nanoseconds))
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    /// A request that stands for itself. What tells a server of the handshake's time is asked once.
    private func alone(_ message: RawMessage) async throws {
        let old = ServerRefusal(
            404, "the server of this route speaks revisions with a handshake only: begin with initialize", code: RPCError.methodNotFound,
            id: message.text(.id))
        if route.isOld { throw old }
        let (id, session) = try route.enterAlone(owner)
        defer { route.leave(id) }
        guard message.method == "server/discover" else { return try await call(session, [message], isBatch: false) }
        let (number, inbox) = session.open()
        defer { session.close(number) }
        let answer: [UInt8] = try await whileHeard {
            try await session.send([message], on: number)
            guard let answer = await self.answer(on: inbox) else {
                throw ServerRefusal(504, "the server of this route did not answer server/discover in time", id: message.text(.id))
            }
            return answer
        }
        var status = 200
        if case .failure(let code)? = try? RawMessage.parse(answer, allowsBatch: false).messages.first?.kind {
            // What one caller has sent decides for all others only where the server does not know the method.
            if code == RPCError.methodNotFound {
                route.isOld = true
                route.end(id, ChildRoute.unknownSession)
                throw old
            }
            // Another word of the server's own (the connector's has a positive code): clients take 400 without an error that they know for a server
            // of the handshake's time.
            status = code < 0 ? 400 : 200
        }
        try await write(status, [("Content-Type", "application/json")], answer)
    }

    // MARK: The connection

    /// Does `body` for as long as the caller is there.
    private func whileHeard<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await stream.ended()
                return nil
            }
            defer { group.cancelAll() }
            guard let value = try await group.next() ?? nil else { throw Gone() }
            return value
        }
    }

    private struct Gone: Error {}

    private func refuse(_ refusal: ServerRefusal) async throws {
        var fields = [("Content-Type", "application/json")]
        if let allow = refusal.allow { fields.append(("Allow", allow)) }
        if let seconds = refusal.retryAfter { fields.append(("Retry-After", String(seconds))) }
        try await write(refusal.status, fields, refusal.body)
    }

    private func write(_ status: Int, _ fields: [(String, String)] = [], _ body: [UInt8] = []) async throws {
        try await stream.write(ChildAnswer.head(status, status == 204 ? fields : fields + [("Content-Length", String(body.count))]) + body)
    }
}
