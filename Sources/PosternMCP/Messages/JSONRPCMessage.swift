import PosternJSON

/// One JSON-RPC 2.0 message of MCP. `params` and `result` are objects there (basic protocol, section "Messages").
package enum JSONRPCMessage: Sendable, Equatable {
    case request(id: RequestID, method: String, params: JSONObject?)
    case notification(method: String, params: JSONObject?)
    case response(id: RequestID, result: JSONObject)
    /// `id` is nil where the peer could not read it in what it refuses.
    case failure(id: RequestID?, error: RPCError)

    /// Bytes that are no JSON-RPC message.
    package struct Malformed: Error, Sendable, Equatable, CustomStringConvertible {
        package var reason: String
        package var description: String { reason }
    }
}

extension JSONRPCMessage {
    /// Most messages of one batch.
    package static let maximumBatch = 1000

    /// Reads one message, or where `allowsBatch` is true (2025-03-26 alone has batches) a batch of them.
    package static func parse(_ bytes: some Sequence<UInt8>, allowsBatch: Bool) throws(Malformed) -> [JSONRPCMessage] {
        let json: JSON
        do { json = try JSON(parsing: bytes) } catch { throw Malformed(reason: "\(error)") }
        guard case .array(let elements) = json else { return [try JSONRPCMessage(json)] }
        guard allowsBatch else { throw Malformed(reason: "a batch, which only revision 2025-03-26 has") }
        guard !elements.isEmpty else { throw Malformed(reason: "a batch without a message") }
        guard elements.count <= maximumBatch else { throw Malformed(reason: "a batch of more than \(maximumBatch) messages") }
        var messages: [JSONRPCMessage] = []
        for element in elements { messages.append(try JSONRPCMessage(element)) }
        return messages
    }

    package init(_ json: JSON) throws(Malformed) {
        guard let object = json.object else { throw Malformed(reason: "a message must be an object, not \(json.kind)") }
        guard object["jsonrpc"] == "2.0" else { throw Malformed(reason: #"a message must have "jsonrpc": "2.0""#) }
        let id = try Self.id(object["id"])
        if let method = object["method"] {
            guard let name = method.string else { throw Malformed(reason: "method must be text, not \(method.kind)") }
            let params = try Self.params(object["params"])
            if let id {
                self = .request(id: id, method: name, params: params)
            } else if object.contains("id") {
                throw Malformed(reason: "the id of a request must not be null")
            } else {
                self = .notification(method: name, params: params)
            }
            return
        }
        switch (object["result"], object["error"]) {
        case (let result?, nil):
            guard let id else { throw Malformed(reason: "a result must have an id") }
            guard let members = result.object else { throw Malformed(reason: "a result must be an object, not \(result.kind)") }
            self = .response(id: id, result: members)
        case (nil, let error?):
            guard let code = error["code"]?.int, let message = error["message"]?.string else {
                throw Malformed(reason: "an error must have a whole number as code and a text as message")
            }
            self = .failure(id: id, error: RPCError(code: code, message: message, data: error["data"]))
        default: throw Malformed(reason: "a message must have exactly one of method, result and error")
        }
    }

    private static func id(_ json: JSON?) throws(Malformed) -> RequestID? {
        guard let json, !json.isNull else { return nil }
        guard let id = RequestID(json) else { throw Malformed(reason: "an id must be text or a whole number, not \(json.kind)") }
        return id
    }

    private static func params(_ json: JSON?) throws(Malformed) -> JSONObject? {
        guard let json else { return nil }
        guard let object = json.object else { throw Malformed(reason: "params must be an object, not \(json.kind)") }
        return object
    }

    package var json: JSON {
        var object: JSONObject = ["jsonrpc": "2.0"]
        switch self {
        case .request(let id, let method, let params):
            object["id"] = id.json
            object["method"] = .string(method)
            if let params { object["params"] = .object(params) }
        case .notification(let method, let params):
            object["method"] = .string(method)
            if let params { object["params"] = .object(params) }
        case .response(let id, let result):
            object["id"] = id.json
            object["result"] = .object(result)
        case .failure(let id, let error):
            object["id"] = id?.json ?? .null
            var members: JSONObject = ["code": JSON(error.code), "message": .string(error.message)]
            if let data = error.data { members["data"] = data }
            object["error"] = .object(members)
        }
        return .object(object)
    }

    package var encoded: [UInt8] { json.encoded }
}

extension JSONRPCMessage {
    /// What this client answers to a request of the server: it has declared no capability, so that only `ping` may come.
    package static func reply(to id: RequestID, method: String) -> JSONRPCMessage {
        method == "ping"
            ? .response(id: id, result: [:])
            : .failure(id: id, error: RPCError(code: RPCError.methodNotFound, message: "this client does not offer \(method)"))
    }

    /// The notification that a request is no longer wanted (utilities, "Cancellation").
    package static func cancelled(_ id: RequestID) -> JSONRPCMessage {
        .notification(method: "notifications/cancelled", params: ["requestId": id.json, "reason": "the client waits no longer"])
    }
}
