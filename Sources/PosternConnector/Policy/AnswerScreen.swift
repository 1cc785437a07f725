import PosternHTTP
import PosternJSON
import PosternTunnelWire

/// What a caller gets to see of the answers of a route with a policy: lists of tools without those that it may not call. Every message is looked
/// at, since a client takes a result by its id, whatever stream it comes on. A value without I/O.
struct AnswerScreen: Sendable {
    let policy: RoutePolicy
    let identity: RuntimeIdentity

    /// Largest answer in JSON, and largest event of a stream, bytes.
    static let mostBytes = 4 << 20
    private static let mostValues = 250_000

    /// How a body is screened.
    enum Plan: Sendable, Hashable {
        case pass
        /// One JSON value, read whole.
        case whole
        case events
    }

    struct Screened: Sendable {
        /// `nil` where the bytes stay as they are.
        var bytes: [UInt8]?
        /// Definitions of tools that the policy knows, shown or not.
        var seen: [(tool: String, definition: ToolDefinition)] = []
        /// How many tools the policy leaves out.
        var hidden = 0
        /// Results and errors of the responses, as they are shown.
        var results: [JSON] = []
    }

    struct Problem: Error, Hashable {
        var reason: String
    }

    /// Throws where an answer could be read in a way that is not screened.
    static func plan(_ head: ResponseHead, to method: String, hasBody: Bool) throws(Problem) -> Plan {
        guard hasBody else { return .pass }
        guard head.fields.named("content-encoding").allSatisfy({ $0.tokens == ["identity"] }) else {
            throw Problem(reason: "the upstream's answer has a content coding that was not asked for, and a policy has to read it")
        }
        let types = head.fields.named("content-type")
        guard types.count <= 1 else { throw Problem(reason: "the upstream's answer has more than one Content-Type") }
        let type = types.first?.text.lowercased() ?? ""
        if type.contains("json") || type.contains("event-stream") {
            let charset = type.split(separator: ";").dropFirst().map { $0.filter { $0 != " " && $0 != "\t" && $0 != "\"" } }
                .first { $0.hasPrefix("charset=") }
            guard charset == nil || charset == "charset=utf-8" else {
                throw Problem(reason: "the upstream's answer is in another character set than UTF-8")
            }
            return type.contains("json") ? .whole : .events
        }
        // A 202 says that a message was taken; nobody reads what else it says.
        guard method != "POST" || head.status == 202 || !(200..<300).contains(head.status) else {
            throw Problem(reason: "the upstream's answer is neither JSON nor an event stream, and a policy has to read it")
        }
        return .pass
    }

    /// A body in JSON.
    func screen(_ bytes: [UInt8]) throws(Problem) -> Screened {
        guard !bytes.isEmpty else { return Screened() }
        let json: JSON
        do throws(JSONParseError) {
            json = try JSON(parsing: bytes, options: .init(maximumValues: Self.mostValues))
        } catch {
            throw Problem(reason: "the upstream's answer is not one JSON value that can be read at byte \(error.offset)")
        }
        guard Self.listsTools(json) else {
            try Self.checkKeys(json)
            return Screened(results: Self.results(json))
        }
        // Definitions that differ in what a lone surrogate hides would have one digest.
        do throws(JSONParseError) {
            _ = try JSON(parsing: bytes, options: .init(rejectsLoneSurrogates: true, maximumValues: Self.mostValues))
        } catch {
            throw Problem(reason: "the upstream's list of tools is not sound JSON at byte \(error.offset)")
        }
        try Self.checkKeys(json)
        var screened = Screened()
        let shown: JSON
        if case .array(let elements) = json {
            shown = .array(elements.map { message($0, &screened) })
        } else {
            shown = message(json, &screened)
        }
        let isChanged = screened.hidden > 0 && policy.mode == .enforce
        if isChanged { screened.bytes = shown.encoded }
        screened.results = Self.results(isChanged ? shown : json)
        return screened
    }

    /// An event of a stream.
    func screen(_ event: EventStream.Event) throws(Problem) -> Screened {
        guard let data = event.data, !data.isEmpty else { return Screened(bytes: event.bytes) }
        var screened: Screened
        do throws(Problem) {
            screened = try screen(data)
        } catch {
            // Of another type than `message`, such as the `endpoint` of revision 2024-11-05, data need not be JSON, and no client takes them for a message.
            guard !event.type.isEmpty, !event.type.elementsEqual("message".utf8), (try? JSON(parsing: data)) == nil, !LineBreaks.stand(in: data)
            else {
                throw error
            }
            return Screened(bytes: event.bytes)
        }
        let isAmbiguous = LineBreaks.stand(in: data)
        guard screened.bytes != nil || isAmbiguous else {
            screened.bytes = event.bytes
            return screened
        }
        let json = LineBreaks.escaped(screened.bytes ?? data).map { $0 == 0x0A ? 0x20 : $0 }
        screened.bytes = event.rest + Array("data: ".utf8) + json + [0x0A, 0x0A]
        return screened
    }

    private static func messages(_ json: JSON) -> [JSONObject] { (json.array ?? [json]).compactMap(\.object) }

    private static func results(_ json: JSON) -> [JSON] { messages(json).compactMap { $0["method"] == nil ? $0["result"] ?? $0["error"] : nil } }

    private static func listsTools(_ json: JSON) -> Bool { messages(json).contains { $0["result"]?["tools"]?.array != nil } }

    /// No reader may find a list of tools where this one finds none.
    private static func checkKeys(_ json: JSON) throws(Problem) {
        for message in messages(json) {
            let alike =
                FoldedName.lookAlike(in: message, of: ["jsonrpc", "id", "method", "params", "result", "error"])
                ?? message["result"]?.object.flatMap { FoldedName.lookAlike(in: $0, of: ["tools"]) }
            guard alike == nil else { throw Problem(reason: "a key of the upstream's answer is one of the protocol's in another case") }
        }
    }

    private func message(_ json: JSON, _ screened: inout Screened) -> JSON {
        guard var message = json.object, var result = message["result"]?.object, let tools = result["tools"]?.array else { return json }
        var shown: [JSON] = []
        for tool in tools {
            guard let object = tool.object, let name = tool["name"]?.string, RPCMessage.isToolName(name),
                FoldedName.lookAlike(in: object, of: ["name", "annotations", "inputSchema", "description"]) == nil
            else {
                screened.hidden += 1
                continue
            }
            let definition = ToolDefinition(tool)
            if policy.knows(name) { screened.seen.append((name, definition)) }
            if policy.shows(name, definition, to: identity) { shown.append(tool) } else { screened.hidden += 1 }
        }
        result["tools"] = .array(shown)
        message["result"] = .object(result)
        return .object(message)
    }
}
