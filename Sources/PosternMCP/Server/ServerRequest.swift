import PosternJSON

/// A request to a server of Streamable HTTP, and what it asks for (transports, "Streamable HTTP", revisions 2025-03-26 to 2026-07-28). A value
/// without I/O.
package struct ServerRequest: Sendable {
    package var method: String
    package var contentType: String?
    /// Values of `Accept`, joined by commas; `nil` without one.
    package var accept: String?
    /// `Mcp-Session-Id`.
    package var session: String?
    /// `MCP-Protocol-Version`.
    package var revision: String?
    /// `Mcp-Method` and `Mcp-Name`, which repeat what the body says since 2026-07-28.
    package var methodHeader: String?
    package var nameHeader: String?
    package var body: [UInt8]

    package init(method: String, body: [UInt8]) { (self.method, self.body) = (method, body) }

    package enum Decision: Sendable {
        /// `initialize`.
        case open(RawMessage)
        case send(session: String, [RawMessage], isBatch: Bool)
        case listen(session: String)
        case end(session: String)
        /// A request that stands for itself.
        case alone(RawMessage)
        /// A notification that nobody acts on.
        case passedOver
    }

    package func decide() throws(ServerRefusal) -> Decision {
        let known = try knownRevision()
        let isModern = known?.era == .modern
        switch method {
        case "POST": return try post(known)
        case "GET" where !isModern:
            guard accepts("text/event-stream") else { throw ServerRefusal(406, "a GET opens an event stream: send Accept: text/event-stream") }
            return .listen(session: try needed())
        case "DELETE" where !isModern: return .end(session: try needed())
        default:
            throw ServerRefusal(
                405, "the method \(method) is not for MCP\(isModern ? " of revision 2026-07-28" : "")", allow: isModern ? "POST" : "GET, POST, DELETE"
            )
        }
    }

    private func knownRevision() throws(ServerRefusal) -> Revision? {
        guard let revision else { return nil }
        guard let known = Revision(rawValue: revision) else {
            throw ServerRefusal(
                400, "the revision in MCP-Protocol-Version is not spoken here", code: RPCError.unsupportedRevision, id: firstID(),
                data: ["supported": .array(Revision.allCases.map { .string($0.rawValue) }), "requested": .string(String(revision.prefix(64)))])
        }
        return known
    }

    private func needed() throws(ServerRefusal) -> String {
        guard let session else { throw ServerRefusal(400, "there is no Mcp-Session-Id: begin with initialize", id: firstID()) }
        return session
    }

    private func post(_ known: Revision?) throws(ServerRefusal) -> Decision {
        let type = contentType.map { $0.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased() }
        guard type == "application/json" else { throw ServerRefusal(415, "a message is sent as Content-Type: application/json") }
        guard accepts("application/json"), accepts("text/event-stream") else {
            throw ServerRefusal(406, "an answer is JSON or an event stream: send Accept: application/json, text/event-stream")
        }
        let messages: [RawMessage]
        let isBatch: Bool
        do throws(JSONRPCMessage.Malformed) {
            // Without a revision it is the first one's that has this transport.
            (messages, isBatch) = try RawMessage.parse(body, allowsBatch: known == nil || known == .march2025)
        } catch {
            throw ServerRefusal(400, "the body is no message: \(error.reason)")
        }
        if known?.era == .modern || known == nil && messages[0].revision == Revision.july2026.rawValue { return try alone(messages[0], known) }
        let longest = ServerHandshake.longestMessage
        guard !messages.contains(where: { ["initialize", "notifications/initialized"].contains($0.method) && $0.bytes.count > longest }) else {
            throw ServerRefusal(413, "initialize and notifications/initialized have at most \(longest) bytes", id: firstID())
        }
        if messages.count == 1, messages[0].isRequest, messages[0].method == "initialize" {
            guard session == nil else { throw ServerRefusal(400, "initialize opens a session and cannot be sent in one", id: messages[0].text(.id)) }
            return .open(messages[0])
        }
        guard !messages.contains(where: { $0.method == "initialize" }) else { throw ServerRefusal(400, "initialize is sent alone") }
        return .send(session: try needed(), messages, isBatch: isBatch)
    }

    /// 2026-07-28: header and body say the same, since something on the way may go by the one and the server by the other.
    private func alone(_ message: RawMessage, _ known: Revision?) throws(ServerRefusal) -> Decision {
        let id = message.text(.id)
        guard !message.isAnswer else { throw ServerRefusal(400, "there are no responses of clients in revision 2026-07-28", id: id) }
        guard message.isRequest else { return .passedOver }
        func differs(_ name: String) -> ServerRefusal {
            ServerRefusal(400, "the header \(name) does not say what the body says", code: RPCError.headerMismatch, id: id)
        }
        guard let known, known.rawValue == message.revision else { throw differs("MCP-Protocol-Version") }
        guard methodHeader == message.method else { throw differs("Mcp-Method") }
        if ["tools/call", "prompts/get", "resources/read"].contains(message.method) {
            guard let name = nameHeader.flatMap(HeaderValue.decode), name == message.target else { throw differs("Mcp-Name") }
        }
        return .alone(message)
    }

    private func accepts(_ type: String) -> Bool {
        // Without one, everything (RFC 9110, section 12.5.1).
        guard let accept else { return true }
        let group = type.prefix { $0 != "/" } + "/*"
        return accept.lowercased().split(separator: ",").contains { part in
            let parts = part.filter { $0 != " " && $0 != "\t" }.split(separator: ";")
            guard let name = parts.first, !parts.dropFirst().contains(where: { $0 == "q=0" || $0 == "q=0.0" }) else { return false }
            return name == type || name == group || name == "*/*"
        }
    }

    /// The id of the only request of the body, for an error about it.
    private func firstID() -> [UInt8]? {
        guard method == "POST", let parsed = try? RawMessage.parse(body, allowsBatch: false) else { return nil }
        return parsed.messages.first { $0.isRequest }?.text(.id)
    }
}

/// Why a server of Streamable HTTP does not do what it is asked: a status, and a JSON-RPC error that says it to a client.
package struct ServerRefusal: Error, Sendable {
    package var status: Int
    package var error: RPCError
    /// The request's id as it came; `nil` where none is known.
    package var id: [UInt8]?
    /// Of a method that is not for this place: those that are.
    package var allow: String?
    /// Seconds until another try may help.
    package var retryAfter: Int?

    /// - Parameter code: of the JSON-RPC error; the status where it is left out, which is outside of JSON-RPC's own range (specification 2.0,
    ///   section 5.1), so that nobody takes it for the word of the server behind.
    package init(
        _ status: Int, _ message: String, code: Int? = nil, id: [UInt8]? = nil, data: JSON? = nil, allow: String? = nil, retryAfter: Int? = nil
    ) {
        self.status = status
        error = RPCError(code: code ?? status, message: message, data: data)
        self.id = id
        self.allow = allow
        self.retryAfter = retryAfter
    }

    package var body: [UInt8] { ServerConversation.failure(id: id, error) }

    /// The HTTP status of an answer with that error of a server (2026-07-28, transports, "Sending messages").
    package static func status(ofError code: Int?) -> Int {
        switch code {
        case RPCError.methodNotFound: 404
        case RPCError.headerMismatch, RPCError.missingClientCapability, RPCError.unsupportedRevision: 400
        default: 200
        }
    }
}
