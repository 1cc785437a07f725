import PosternJSON

/// A client of one MCP server of any revision that is known here. It opens the connection with the first request and again where the server has
/// ended the session; `close()` must be called once, last.
package actor MCPClient {
    package struct Options: Sendable {
        /// How this client calls itself.
        package var identity: Implementation
        /// The only revision to be spoken; nil finds out.
        package var revision: Revision?
        /// The longest that a server may keep silent on a request. Progress of the request begins it anew.
        package var silence: Duration = .seconds(60)
        /// The longest that a request may take in all.
        package var maximum: Duration = .seconds(3600)
        /// The longest for each step of opening the connection.
        package var opening: Duration = .seconds(10)
        /// Most bytes of a list of tools, over all its pages.
        package var listBytes = 64 << 20
        /// Which era servers were of.
        package var eras = EraMemory()
        /// Hears of each step, for whoever measures.
        package var onStep: (@Sendable (Step) -> Void)?

        package init(identity: Implementation) { self.identity = identity }
    }

    /// A step of opening the connection, or a page of a list, that was done or has failed.
    package struct Step: Sendable {
        package var name: String
        package var duration: Duration
        package var error: MCPError?

        package init(name: String, duration: Duration, error: MCPError? = nil) {
            self.name = name
            self.duration = duration
            self.error = error
        }
    }

    /// What a server tells of a request's progress (utilities, "Progress").
    package struct Progress: Sendable, Equatable {
        package var progress: Double
        package var total: Double?
        package var message: String?
    }

    /// Hears of a notification: its method and parameters.
    package typealias Notice = @Sendable (String, JSONObject) async -> Void

    private let link: any MCPLink
    package nonisolated let options: Options
    private var state = SessionState()
    private let opening = SharedWork<Result<SessionState.Open, MCPError>>()
    private var lastID: Int64 = 0
    /// The fields that tools want, by their names, as far as the server has listed them.
    private var toolHeaders: [String: Result<ToolHeaders, ToolHeaders.Invalid>] = [:]

    package init(_ link: any MCPLink, options: Options) {
        self.link = link
        self.options = options
    }

    /// Ends the session where there is one.
    package func close() async {
        guard let open = state.open else { return }
        state.close()
        await link.end(WireContext(revision: open.server.revision, sessionID: open.server.sessionID))
    }

    // MARK: - Opening

    /// Opens the connection where it is not open: what the server says of itself.
    package func open() async throws(MCPError) -> ServerDescription { try await connection().server }

    /// Opened once for all that wait.
    private func connection() async throws(MCPError) -> SessionState.Open {
        while true {
            if let open = state.open { return open }
            let result = await opening.value { await self.negotiate() }
            if Task.isCancelled { throw .cancelled }
            // Cancelled by those that waited before: this one still wants it.
            if case .failure(.cancelled) = result { continue }
            return try result.get()
        }
    }

    private func negotiate() async -> Result<SessionState.Open, MCPError> {
        var negotiation = Negotiation(medium: link.medium, forced: options.revision, known: options.eras[link.origin])
        var step = negotiation.start()
        while true {
            switch step {
            case .discover(let revision):
                let result = await measured("server/discover") { () async throws(MCPError) -> LinkAnswer in
                    try await self.ask("server/discover", self.params([:], revision), revision)
                }
                step = negotiation.answered(result.map(\.result))
            case .initialize(let revision):
                let params: JSONObject = [
                    "protocolVersion": .string(revision.rawValue), "capabilities": [:], "clientInfo": options.identity.json,
                ]
                let result = await measured("initialize") { () async throws(MCPError) -> LinkAnswer in
                    try await self.ask("initialize", params, nil)
                }
                step = negotiation.answered(result.map(\.result), sessionID: (try? result.get())?.sessionID)
            case .announce(let server):
                let context = WireContext(revision: server.revision, sessionID: server.sessionID)
                let result = await measured("notifications/initialized") { () async throws(MCPError) in
                    try await self.announce(context)
                }
                switch result {
                case .success: step = negotiation.announced()
                case .failure(let error): step = .fail(error)
                }
            case .ready(let server):
                options.eras.remember(server.era, of: link.origin)
                return .success(state.opened(server))
            case .fail(let error):
                options.eras.forget(link.origin)
                return .failure(error)
            }
        }
    }

    private func ask(_ method: String, _ params: JSONObject, _ revision: Revision?) async throws(MCPError) -> LinkAnswer {
        var request = LinkRequest(id: nextID(), method: method, params: params, context: WireContext(revision: revision))
        // What opens a connection is not cancelled (utilities, "Cancellation").
        request.canBeCancelled = false
        let (link, sent) = (link, request)
        do throws(MCPError) {
            return try await Watchdog(method, silence: options.opening, maximum: options.opening)
                .guarding { () async throws(MCPError) -> LinkAnswer in try await link.exchange(sent) { _ in } }
        } catch {
            throw settled(method, error)
        }
    }

    private func announce(_ context: WireContext) async throws(MCPError) {
        let link = link
        try await Watchdog("notifications/initialized", silence: options.opening, maximum: options.opening)
            .guarding { () async throws(MCPError) in try await link.post(.notification(method: "notifications/initialized", params: nil), context) }
    }

    func measured<Value: Sendable>(
        _ name: String, _ work: () async throws(MCPError) -> Value
    ) async -> Result<Value, MCPError> {
        let start = ContinuousClock.now
        do throws(MCPError) {
            let value = try await work()
            options.onStep?(Step(name: name, duration: .now - start))
            return .success(value)
        } catch {
            options.onStep?(Step(name: name, duration: .now - start, error: error))
            return .failure(error)
        }
    }

    // MARK: - Requests

    /// Sends a request and gives its result. A session that the server has ended is opened again once.
    /// - Parameters:
    ///   - fields: of the request's head, where the revision has any; made when the connection stands.
    ///   - onProgress: hears of progress where the server tells of any.
    ///   - onNotice: gets what the server says while the request runs, this request's progress among it; what comes next waits for it.
    package func request(
        _ method: String, _ params: JSONObject, fields: [(name: String, value: String)] = [],
        onProgress: (@Sendable (Progress) -> Void)? = nil, onNotice: Notice? = nil
    ) async throws(MCPError) -> JSONObject {
        var isSecondTry = false
        while true {
            let open = try await connection()
            do throws(MCPError) {
                let result = try await send(method, params, fields, open, onProgress, onNotice).result
                return open.server.era == .modern ? try Self.complete(result) : result
            } catch {
                guard state.failed(error, generation: open.generation, isSecondTry: isSecondTry) == .again else { throw settled(method, error) }
                // The session is gone and the era still the same; what the server says of revisions is news.
                if case .server = error { options.eras.forget(link.origin) }
                isSecondTry = true
            }
        }
    }

    /// Only a call of a tool has an outcome to worry about: what merely asks came to nothing.
    private func settled(_ method: String, _ error: MCPError) -> MCPError {
        guard case .outcomeUnknown(let reason) = error, method != "tools/call" else { return error }
        return link.medium == .stdio ? .ended(reason) : .unreachable(reason)
    }

    private func send(
        _ method: String, _ params: JSONObject, _ fields: [(name: String, value: String)], _ open: SessionState.Open,
        _ onProgress: (@Sendable (Progress) -> Void)?, _ onNotice: Notice?
    ) async throws(MCPError) -> LinkAnswer {
        let id = nextID()
        let revision = open.server.revision
        var params = self.params(params, revision)
        var meta = params["_meta"]?.object ?? [:]
        // The token is the request's id: unique among all that are in flight.
        meta["progressToken"] = id.json
        params["_meta"] = .object(meta)
        var request = LinkRequest(
            id: id, method: method, params: params, context: WireContext(revision: revision, sessionID: open.server.sessionID))
        if revision.era == .modern { request.fields = Self.routing(method, params) + fields }
        let watchdog = Watchdog(method, silence: options.silence, maximum: options.maximum)
        let (link, sent) = (link, request)
        return try await watchdog.guarding { () async throws(MCPError) -> LinkAnswer in
            try await link.exchange(sent) { message in
                guard case .notification(let name, let params) = message else { return }
                if name == "notifications/progress" {
                    guard let progress = Self.progress(message, token: id) else { return }
                    watchdog.progressed()
                    onProgress?(progress)
                }
                await onNotice?(name, params ?? [:])
            }
        }
    }

    /// The parameters with what every request of a revision carries (2026-07-28, "Per-request protocol fields").
    private func params(_ params: JSONObject, _ revision: Revision) -> JSONObject {
        guard revision.era == .modern else { return params }
        var params = params
        var meta = params["_meta"]?.object ?? [:]
        meta["io.modelcontextprotocol/protocolVersion"] = .string(revision.rawValue)
        meta["io.modelcontextprotocol/clientInfo"] = options.identity.json
        meta["io.modelcontextprotocol/clientCapabilities"] = [:]
        params["_meta"] = .object(meta)
        return params
    }

    /// The field that repeats what a request names (2026-07-28, "Standard headers").
    private static func routing(_ method: String, _ params: JSONObject) -> [(name: String, value: String)] {
        let key = ["tools/call": "name", "prompts/get": "name", "resources/read": "uri"][method]
        guard let name = key.flatMap({ params[$0]?.string }) else { return [] }
        return [(name: "Mcp-Name", value: HeaderValue.encode(name))]
    }

    private static func progress(_ message: JSONRPCMessage, token: RequestID) -> Progress? {
        guard case .notification("notifications/progress", let params?) = message, params["progressToken"].flatMap(RequestID.init) == token,
            let progress = params["progress"]?.double
        else { return nil }
        return Progress(progress: progress, total: params["total"]?.double, message: params["message"]?.string)
    }

    /// A result that is one (2026-07-28, `resultType`): anything else asks for more.
    private static func complete(_ result: JSONObject) throws(MCPError) -> JSONObject {
        switch result["resultType"]?.string {
        case nil, "complete": return result
        case "input_required":
            var texts: [String] = []
            for (_, request) in result["inputRequests"]?.object ?? [:] {
                texts.append(request["params"]?["message"]?.string ?? request["method"]?.string ?? "something")
            }
            throw .inputRequired(texts)
        case let other?: throw .malformed("a result of the type \(other), which was not asked for")
        }
    }

    private func nextID() -> RequestID {
        lastID += 1
        return .number(lastID)
    }

    // MARK: - For the extensions

    /// Whether requests have heads, in which arguments may be repeated.
    nonisolated var hasHeads: Bool { link.medium == .http }

    func header(of tool: String) -> Result<ToolHeaders, ToolHeaders.Invalid>? { toolHeaders[tool] }

    func learn(_ tools: [Tool]) {
        toolHeaders = [:]
        for tool in tools {
            do throws(ToolHeaders.Invalid) {
                toolHeaders[tool.name] = .success(try ToolHeaders(inputSchema: tool.inputSchema))
            } catch {
                toolHeaders[tool.name] = .failure(error)
            }
        }
    }

    /// What a subscription makes of a message.
    enum Heard: Sendable {
        /// The server has agreed: it may take as long as it likes from here on.
        case agreed
        case refused(MCPError)
        case nothing
    }

    /// Sends a request whose answer is a stream without an end (2026-07-28, `subscriptions/listen`).
    func subscribe(_ method: String, _ params: JSONObject, hear: @escaping @Sendable (JSONRPCMessage) async -> Heard) async throws(MCPError) {
        let open = try await connection()
        let params = self.params(params, open.server.revision)
        let request = LinkRequest(
            id: nextID(), method: method, params: params, context: WireContext(revision: open.server.revision))
        let watchdog = Watchdog(method, silence: options.opening, maximum: options.opening)
        let link = link
        _ = try await watchdog.guarding { () async throws(MCPError) -> LinkAnswer in
            try await link.exchange(request) { message in
                switch await hear(message) {
                case .agreed: watchdog.release()
                case .refused(let error): watchdog.fail(error)
                case .nothing: break
                }
            }
        }
    }

    /// Listens to what the server says unasked (handshake era).
    /// - Parameter begun: called once, when it has begun to tell.
    func listen(
        begun: @escaping @Sendable () async -> Void, hear: @escaping @Sendable (JSONRPCMessage) async -> Void
    ) async throws(MCPError) {
        let open = try await connection()
        let context = WireContext(revision: open.server.revision, sessionID: open.server.sessionID)
        do throws(MCPError) {
            try await link.listen(context, begun: begun, hear: hear)
        } catch {
            _ = state.failed(error, generation: open.generation, isSecondTry: true)
            throw error
        }
    }
}
