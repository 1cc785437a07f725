import PosternJSON

/// A server over stdio as its caller sees it, for every revision: who may ask what when, which requests run, and what is answered. A value without
/// I/O; `PipeServer` is its shell.
///
/// The era is settled by the first `initialize` that succeeds or by the first request, other than `server/discover`, that carries a revision of the
/// modern era. A caller that has asked `server/discover` and was answered late may still begin with `initialize`.
package struct StdioServerMachine: Sendable {
    package enum Action: Sendable, Equatable {
        /// A message for the caller, without its line feed.
        case write([UInt8])
        /// A request to be carried out: `described`, or `answered`, has to follow, also where it is cancelled.
        case start(ServerCall)
        /// The call with that number is no longer wanted.
        case cancel(Int)
        /// The caller is ready to hear of changes of lists (handshake era).
        case listen
        /// Something that the caller does wrong and that has no answer.
        case note(String)
    }

    /// Requests at one time, those included that were cancelled and have not ended yet.
    package static let mostCalls = 256
    static let identityKeys = ["protocolVersion", "clientInfo", "clientCapabilities"].map { "io.modelcontextprotocol/\($0)" }
    static let logLevelKey = "io.modelcontextprotocol/logLevel"

    enum Phase: Sendable, Equatable {
        case new
        /// `initialize` is being carried out.
        case opening
        case handshake(Revision)
        case modern
    }

    struct Call: Sendable {
        var id: RequestID
        var method: String
        var kind: ServerCall.Kind
        var revision: Revision
        /// By which the caller knows the progress of the request.
        var token: JSON?
        var wantsLog: Bool
        var isCancelled = false
        /// The batch that it came in.
        var batch: Int?
    }

    /// The answers to a batch are one message.
    struct Batch: Sendable {
        var waiting = 0
        var answers: [JSON] = []
    }

    var phase = Phase.new
    private(set) var isListening = false
    var isDraining = false
    var calls: [Int: Call] = [:]
    var numbers: [RequestID: Int] = [:]
    private var batches: [Int: Batch] = [:]
    private var hasNotedAnswer = false
    private var lastNumber = 0

    package init() {}

    /// Whether no request runs.
    package var isIdle: Bool { calls.isEmpty }

    // MARK: - What the caller says

    /// Reads a line of the caller for `receive`: by itself, since a long one takes its time, in which whoever holds the machine would let nobody
    /// else at it.
    package static func read(_ line: [UInt8]) -> Result<JSON, JSONParseError> {
        do throws(JSONParseError) {
            return .success(try JSON(parsing: line, options: .init(maximumValues: RawMessage.mostValues)))
        } catch {
            return .failure(error)
        }
    }

    /// Takes one line of the caller, as it was read.
    package mutating func receive(_ line: Result<JSON, JSONParseError>) -> [Action] {
        let json: JSON
        switch line {
        case .success(let value): json = value
        case .failure(let error): return [refuse(nil, RPCError.parseError, "the line is no JSON: at byte \(error.offset)")]
        }
        guard case .array(let elements) = json else { return take(json, nil) }
        guard phase == .handshake(.march2025) else {
            return [refuse(nil, RPCError.invalidRequest, "a batch, which only revision 2025-03-26 has, and not before initialize")]
        }
        guard (1...JSONRPCMessage.maximumBatch).contains(elements.count) else {
            return [refuse(nil, RPCError.invalidRequest, "a batch holds 1 to \(JSONRPCMessage.maximumBatch) messages")]
        }
        lastNumber += 1
        let batch = lastNumber
        // Held open until all of it is read.
        batches[batch] = Batch(waiting: 1)
        let actions = elements.flatMap { take($0, batch) }
        return actions + settle(batch)
    }

    private mutating func take(_ json: JSON, _ batch: Int?) -> [Action] {
        do throws(JSONRPCMessage.Malformed) {
            switch try JSONRPCMessage(json) {
            case .request(let id, let method, let params): return request(id, method, params ?? [:], batch)
            case .notification(let method, let params): return notified(method, params ?? [:])
            case .response, .failure:
                // Once: a remark takes longer than a line of the caller.
                guard !hasNotedAnswer else { return [] }
                hasNotedAnswer = true
                return [.note("the client answers what it was not asked")]
            }
        } catch {
            // A request that can be named is told so by its name, unless a running one has the same.
            let id = json["method"] == nil ? nil : json["id"].flatMap(RequestID.init)
            return reply(
                .failure(id: id.flatMap { isFree($0) ? $0 : nil }, error: RPCError(code: RPCError.invalidRequest, message: error.reason)), batch)
        }
    }

    private func isFree(_ id: RequestID) -> Bool {
        if case .text(let text) = id, text.utf8.count > RawMessage.longestID { return false }
        return numbers[id] == nil
    }

    private mutating func notified(_ method: String, _ params: JSONObject) -> [Action] {
        switch method {
        case "notifications/initialized":
            guard case .handshake = phase, !isListening, !isDraining else { return [] }
            isListening = true
            return [.listen]
        case "notifications/cancelled":
            // What has ended in the meantime is not cancelled, and nobody is to blame (utilities, "Cancellation"); `initialize` never is.
            guard let id = params["requestId"].flatMap(RequestID.init), let number = numbers[id], let call = calls[number], !call.isCancelled,
                call.method != "initialize"
            else { return [] }
            calls[number]?.isCancelled = true
            return [.cancel(number)]
        default: return []
        }
    }

    private mutating func request(_ id: RequestID, _ method: String, _ params: JSONObject, _ batch: Int?) -> [Action] {
        guard isFree(id) else {
            // An answer under that id would pass for the answer of the request that has it.
            return reply(
                .failure(
                    id: nil, error: RPCError(code: RPCError.invalidRequest, message: "the id of a request is that of one that runs, or too long")),
                batch)
        }
        let meta = params["_meta"]?.object ?? [:]
        do throws(RPCError) {
            if method != "initialize", let version = meta[RawMessage.revisionKey] {
                return try modern(id, method, params, meta, version, batch)
            }
            return try handshake(id, method, params, meta, batch)
        } catch {
            return reply(.failure(id: id, error: error), batch)
        }
    }

    private mutating func modern(
        _ id: RequestID, _ method: String, _ params: JSONObject, _ meta: JSONObject, _ version: JSON, _ batch: Int?
    ) throws(RPCError) -> [Action] {
        if case .handshake = phase {
            throw RPCError(code: RPCError.invalidRequest, message: "this connection began with initialize: requests carry no protocolVersion in it")
        }
        guard let text = version.string, let revision = Revision(rawValue: text), revision.era == .modern else {
            throw Self.unsupported(version.string ?? version.kind)
        }
        if method == "server/discover" { return try start(id, method, .describe, params, meta, revision, batch) }
        guard phase != .opening else { throw Self.tooEarly }
        phase = .modern
        guard method == "subscriptions/listen" else { return try start(id, method, .request, params, meta, revision, batch) }
        guard let wanted = params["notifications"]?.object else {
            throw RPCError(code: RPCError.invalidParams, message: "subscriptions/listen needs notifications, an object")
        }
        let kinds = ListKind.allCases.filter { wanted[$0.filter]?.bool == true }
        return try start(id, method, .subscribe(kinds), params, meta, revision, batch)
    }

    private mutating func handshake(
        _ id: RequestID, _ method: String, _ params: JSONObject, _ meta: JSONObject, _ batch: Int?
    ) throws(RPCError) -> [Action] {
        if method == "initialize" { return try initialize(id, params, meta, batch) }
        if case .modern = phase {
            throw RPCError(code: RPCError.invalidParams, message: "each request of 2026-07-28 carries \(RawMessage.revisionKey) in its _meta")
        }
        if method == "ping" { return reply(.response(id: id, result: [:]), batch) }
        guard case .handshake(let revision) = phase else { throw Self.tooEarly }
        guard method != "subscriptions/listen", method != "server/discover" else {
            throw RPCError(code: RPCError.methodNotFound, message: "there is no \(method) in revision \(revision.rawValue)")
        }
        return try start(id, method, .request, params, meta, revision, batch)
    }

    private mutating func initialize(_ id: RequestID, _ params: JSONObject, _ meta: JSONObject, _ batch: Int?) throws(RPCError) -> [Action] {
        switch phase {
        case .new: break
        case .modern: throw Self.unsupported(params["protocolVersion"]?.string ?? "none")
        case .opening, .handshake: throw RPCError(code: RPCError.invalidRequest, message: "initialize is sent once, and alone")
        }
        guard let wanted = params["protocolVersion"]?.string else {
            throw RPCError(code: RPCError.invalidParams, message: "initialize needs protocolVersion, a text")
        }
        // Another one is answered by the newest that has this handshake (lifecycle, "Version negotiation").
        let revision = Revision(rawValue: wanted).flatMap { $0.era == .handshake ? $0 : nil } ?? .newest(of: .handshake)
        let actions = try start(id, "initialize", .describe, params, meta, revision, batch)
        phase = .opening
        return actions
    }

    private mutating func start(
        _ id: RequestID, _ method: String, _ kind: ServerCall.Kind, _ params: JSONObject, _ meta: JSONObject, _ revision: Revision, _ batch: Int?
    ) throws(RPCError) -> [Action] {
        guard calls.count < Self.mostCalls else {
            throw RPCError(code: RPCError.serverError, message: "\(Self.mostCalls) requests run: wait for an answer before the next")
        }
        // A token is a text or a whole number, as an id is, and is kept and sent back as one.
        let token = meta["progressToken"].flatMap(RequestID.init)
        if case .text(let text)? = token, text.utf8.count > RawMessage.longestID {
            throw RPCError(code: RPCError.invalidParams, message: "a progressToken has at most \(RawMessage.longestID) bytes")
        }
        var (params, rest) = (params, meta)
        for key in Self.identityKeys + ["progressToken"] { rest[key] = nil }
        params["_meta"] = rest.isEmpty ? nil : .object(rest)
        lastNumber += 1
        calls[lastNumber] = Call(
            id: id, method: method, kind: kind, revision: revision, token: token?.json,
            wantsLog: revision.era == .handshake || meta[Self.logLevelKey] != nil, batch: batch)
        numbers[id] = lastNumber
        if let batch { batches[batch]?.waiting += 1 }
        return [.start(ServerCall(number: lastNumber, kind: kind, method: method, params: params, revision: revision))]
    }

    private static var tooEarly: RPCError {
        RPCError(code: RPCError.invalidRequest, message: "before initialize is answered there is only ping, and what 2026-07-28 has")
    }

    private static func unsupported(_ requested: String) -> RPCError {
        RPCError(
            code: RPCError.unsupportedRevision, message: "the revision is not spoken here",
            data: ["supported": .array(Revision.allCases.map { .string($0.rawValue) }), "requested": .string(String(requested.prefix(64)))])
    }

    // MARK: - Writing

    func write(_ message: JSONRPCMessage) -> Action { .write(message.encoded) }

    private func refuse(_ id: RequestID?, _ code: Int, _ reason: String) -> Action {
        write(.failure(id: id, error: RPCError(code: code, message: reason)))
    }

    mutating func reply(_ message: JSONRPCMessage, _ batch: Int?) -> [Action] {
        guard let batch else { return [write(message)] }
        batches[batch]?.answers.append(message.json)
        return []
    }

    /// One message of the batch is done with.
    mutating func settle(_ batch: Int) -> [Action] {
        batches[batch]?.waiting -= 1
        guard let state = batches[batch], state.waiting == 0 else { return [] }
        batches[batch] = nil
        return state.answers.isEmpty ? [] : [.write(JSON.array(state.answers).encoded)]
    }
}
