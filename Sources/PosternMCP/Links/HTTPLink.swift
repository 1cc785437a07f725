import ManagedAgentsClient
import PosternJSON

/// Streamable HTTP (transports, "Streamable HTTP"), over any transport of HTTP: a connection of its own, or one inside a tunnel.
package struct HTTPLink: MCPLink {
    package struct Settings: Sendable {
        /// Sent as `Authorization: Bearer …`.
        package var bearer: Secret?
        /// Further fields of the operator's.
        package var fields: [(name: String, value: Secret)] = []
        /// Most bytes of one message.
        package var messageLimit = 16 << 20

        package init() {}

        /// Whether a credential is sent, by either way.
        var hasToken: Bool { bearer != nil || fields.contains { $0.name.lowercased() == "authorization" } }
    }

    /// Fields that are this link's to set: who sets them from outside says something else than the message does.
    package static let reservedFields: Set<String> = [
        "accept", "content-type", "content-length", "transfer-encoding", "connection", "host", "te", "trailer", "upgrade", "last-event-id",
        "mcp-session-id",
        "mcp-protocol-version", "mcp-method", "mcp-name",
    ]

    private let transport: any ClientTransport
    private let endpoint: MCPEndpoint
    private let settings: Settings
    /// Where tokens come from that are not the operator's own.
    private let tokens: OAuthTokens?

    /// - Parameter tokens: answers the server's refusals in place of `settings.bearer`.
    package init(_ transport: any ClientTransport, endpoint: MCPEndpoint, settings: Settings = Settings(), tokens: OAuthTokens? = nil) {
        self.transport = transport
        self.endpoint = endpoint
        self.settings = settings
        self.tokens = tokens
    }

    package var medium: Negotiation.Medium { .http }
    package var origin: String { "\(endpoint.base)" }

    // MARK: - Requests

    package func exchange(
        _ request: LinkRequest, hear: @escaping @Sendable (JSONRPCMessage) async -> Void
    ) async throws(MCPError) -> LinkAnswer {
        var exchange = HTTPExchange(machineSettings(request))
        var sessionID: String?
        var response: ClientResponse?
        var body: ClientBody.AsyncIterator?
        var input = await head(post(request), &response)
        if request.method == "initialize" { sessionID = response?.headers["mcp-session-id"] }
        while true {
            let reaction = exchange.receive(input)
            for message in reaction.messages { await take(message, request.context, hear) }
            switch reaction.next {
            case .collect(let limit): input = await whole(response, limit)
            case .read:
                if body == nil { body = response?.body.makeAsyncIterator() }
                input = await chunk(&body)
            case .resume(let lastEventID, let delay):
                body = nil
                do { try await Task.sleep(for: delay) } catch { return try await cancelled(request) }
                input = await head(get(request.context, lastEventID), &response)
            case .finish(.success(let result)): return LinkAnswer(result: result, sessionID: sessionID)
            case .finish(.failure(.cancelled)): return try await cancelled(request)
            case .finish(.failure(let error)): throw Task.isCancelled ? .cancelled : masked(error)
            }
        }
    }

    /// In the handshake era a server goes on until it is told; in the newer one the closed stream has told it (2026-07-28, "Cancellation").
    private func cancelled(_ request: LinkRequest) async throws(MCPError) -> LinkAnswer {
        if request.canBeCancelled, request.context.revision?.era == .handshake {
            await despiteCancellation { try? await self.post(.cancelled(request.id), request.context) }
        }
        throw .cancelled
    }

    private func machineSettings(_ request: LinkRequest) -> HTTPExchange.Settings {
        var machine = HTTPExchange.Settings(id: request.id, revision: request.context.revision)
        machine.hasSession = request.context.sessionID != nil
        machine.hasToken = hasToken
        machine.messageLimit = settings.messageLimit
        return machine
    }

    /// Notifications are given on; what the server asks is answered at once.
    private func take(_ message: JSONRPCMessage, _ context: WireContext, _ hear: (JSONRPCMessage) async -> Void) async {
        switch message {
        case .notification: await hear(message)
        // A lost answer to `ping` is the server's to ask again.
        case .request(let id, let method, _): try? await post(.reply(to: id, method: method), context)
        case .response, .failure: break
        }
    }

    // MARK: - Messages that get no answer

    package func post(_ message: JSONRPCMessage, _ context: WireContext) async throws(MCPError) {
        let response: ClientResponse
        do { response = try await send(request(.post, context, body: message.encoded)) } catch { throw MCPError(error) }
        // The body of a 202 is empty; one that is not is of no use, and nothing is read of it.
        guard !(200...299).contains(response.status) else { return }
        if ConnectorAnswer.isOne(status: response.status, by: response.headers[ConnectorAnswer.field]) {
            let body = (try? await response.body.collect(upTo: HTTPExchange.errorLimit)) ?? []
            throw masked(ConnectorAnswer.error(status: response.status, body: body, hasSession: context.sessionID != nil))
        }
        if response.status == 404, context.sessionID != nil { throw .sessionLost }
        let excerpt = (try? await response.body.collect(upTo: HTTPExchange.errorLimit)) ?? []
        throw masked(
            response.status == 401
                ? .unauthorized(BearerChallenge(response.headers), hasToken: hasToken) : HTTPExchange.status(response.status, excerpt))
    }

    package func end(_ context: WireContext) async {
        guard context.sessionID != nil else { return }
        // 405 says that the server ends sessions itself.
        await despiteCancellation { _ = try? await self.send(self.request(.delete, context, body: [])) }
    }

    // MARK: - What comes unasked

    package func listen(
        _ context: WireContext, begun: @escaping @Sendable () async -> Void, hear: @escaping @Sendable (JSONRPCMessage) async -> Void
    ) async throws(MCPError) {
        var stream = NoticeStream(
            messageLimit: settings.messageLimit, hasBatches: context.revision?.hasBatches ?? false, hasToken: hasToken,
            hasSession: context.sessionID != nil)
        var hasBegun = false
        while true {
            var response: ClientResponse?
            var body: ClientBody.AsyncIterator?
            var input = await head(get(context, stream.lastEventID), &response)
            reading: while true {
                let reaction = stream.receive(input)
                if case .head = input, reaction.next == .read, !hasBegun {
                    hasBegun = true
                    await begun()
                }
                for message in reaction.messages { await take(message, context, hear) }
                switch reaction.next {
                case .read:
                    if body == nil { body = response?.body.makeAsyncIterator() }
                    input = await chunk(&body)
                case .again(let delay):
                    do { try await Task.sleep(for: delay) } catch { throw MCPError.cancelled }
                    break reading
                case .fail(let error): throw Task.isCancelled ? .cancelled : masked(error)
                }
            }
        }
    }

    // MARK: - HTTP

    private func post(_ request: LinkRequest) -> ClientRequest {
        var fields = request.fields
        if request.context.revision?.era == .modern { fields.append((name: "Mcp-Method", value: request.method)) }
        return self.request(.post, request.context, body: request.message.encoded, fields: fields)
    }

    private func get(_ context: WireContext, _ lastEventID: String?) -> ClientRequest {
        request(.get, context, body: [], fields: lastEventID.map { [(name: "Last-Event-ID", value: $0)] } ?? [])
    }

    /// Longer than any request may take: whoever waits has the deadline. A transport's own time-out for reading must not be shorter, so that one that
    /// it reports is one of connecting, and the request was not sent.
    package static let unlimited = Duration.seconds(48 * 3600)

    private func request(
        _ method: ClientMethod, _ context: WireContext, body: [UInt8], fields: [(name: String, value: String)] = []
    ) -> ClientRequest {
        var headers = ClientHeaders(settings.fields.map { (name: $0.name, value: $0.value.value) })
        if let bearer = settings.bearer { headers["Authorization"] = "Bearer \(bearer.value)" }
        headers["Accept"] = method == .post ? "application/json, text/event-stream" : "text/event-stream"
        if method == .post { headers["Content-Type"] = "application/json" }
        if let revision = context.revision { headers["MCP-Protocol-Version"] = revision.rawValue }
        if let sessionID = context.sessionID { headers["Mcp-Session-Id"] = sessionID }
        for field in fields { headers[field.name] = field.value }
        return ClientRequest(method: method, target: endpoint.target, headers: headers, body: body, timeout: Self.unlimited)
    }

    /// A refusal that is left over after `tokens` came with a token.
    private var hasToken: Bool { settings.hasToken || tokens != nil }

    private func send(_ request: ClientRequest) async throws(SendFailure) -> ClientResponse {
        if let tokens { return try await tokens.send(request, by: transport) }
        do { return try await transport.send(request) } catch { throw .transport(error) }
    }

    private func head(_ request: ClientRequest, _ response: inout ClientResponse?) async -> HTTPExchange.Input {
        do throws(SendFailure) {
            let answer = try await send(request)
            response = answer
            return .head(
                HTTPExchange.Head(
                    status: answer.status, contentType: answer.headers["content-type"] ?? "", location: answer.headers["location"],
                    challenge: BearerChallenge(answer.headers),
                    isConnectors: ConnectorAnswer.isOne(status: answer.status, by: answer.headers[ConnectorAnswer.field])))
        } catch {
            switch error {
            case .transport(let error): return .broken(error)
            case .token(.cancelled): return .broken(.cancelled)
            case .token(let problem): return .noToken(problem)
            }
        }
    }

    private func whole(_ response: ClientResponse?, _ limit: Int) async -> HTTPExchange.Input {
        var body = response?.body.makeAsyncIterator()
        var bytes: [UInt8] = []
        while true {
            switch await chunk(&body) {
            case .bytes(let more):
                if bytes.isEmpty { bytes = more } else { bytes += more }
                if bytes.count > limit { return .bodyTooLarge }
            case .end: return .body(bytes)
            case let other: return other
            }
        }
    }

    private func chunk(_ body: inout ClientBody.AsyncIterator?) async -> HTTPExchange.Input {
        do {
            let bytes = try await body?.next()
            // A cancelled sequence ends like a complete one.
            if Task.isCancelled { return .broken(.cancelled) }
            return bytes.map { .bytes($0) } ?? .end
        } catch {
            return .broken(TransportError(reading: error))
        }
    }

    // MARK: - Secrets

    /// The error without the token and the fields that were sent: a server may repeat them in what it answers.
    private func masked(_ error: MCPError) -> MCPError {
        switch error {
        case .status(let status, let text): .status(status, masked(text))
        case .server(let answer): .server(RPCError(code: answer.code, message: masked(answer.message), data: answer.data.map(masked)))
        case .connector(let reason, let text): .connector(reason: masked(reason), masked(text))
        case .outcomeUnknown(let text): .outcomeUnknown(masked(text))
        case .malformed(let text): .malformed(masked(text))
        case .redirected(let status, let location): .redirected(status: status, location: masked(location))
        case .unauthorized(let challenge?, let hasToken): .unauthorized(masked(challenge), hasToken: hasToken)
        case .insufficientScope(let challenge): .insufficientScope(masked(challenge))
        default: error
        }
    }

    private func masked(_ challenge: BearerChallenge) -> BearerChallenge {
        var masked = challenge
        masked.error = challenge.error.map(self.masked)
        masked.errorDescription = challenge.errorDescription.map(self.masked)
        masked.scope = challenge.scope.map(self.masked)
        masked.resourceMetadata = challenge.resourceMetadata.map(self.masked)
        return masked
    }

    /// The texts in it, and the names of members: a server may repeat a whole head.
    private func masked(_ json: JSON) -> JSON {
        switch json {
        case .string(let text): return .string(masked(text))
        case .array(let elements): return .array(elements.map { masked($0) })
        case .object(let object):
            var (keys, values): ([String], [JSON]) = ([], [])
            var seen: Set<String> = []
            for (key, value) in object {
                let name = masked(key)
                // Two names may be one without the secrets in them.
                guard seen.insert(name).inserted else { continue }
                keys.append(name)
                values.append(masked(value))
            }
            return .object(JSONObject(uniqueKeys: keys, values: values))
        case .null, .bool, .int, .double, .bigNumber: return json
        }
    }

    private func masked(_ text: String) -> String {
        text.masked((settings.bearer.map { [$0] } ?? []) + settings.fields.map(\.value) + (tokens?.secrets ?? []))
    }
}
