import PosternHTTP
import PosternJSON
import PosternTunnelWire

/// What a caller is told of a refusal: a JSON-RPC error to each of its requests, or an HTTP status where there is no request to answer.
struct PolicyAnswer: Sendable {
    let refusal: PolicyRefusal
    let status: Int
    let body: JSON

    /// - Parameters:
    ///   - body: what was refused; `nil` where it could not be read.
    ///   - index: the message that is refused; `nil`: all of them.
    init(_ refusal: PolicyRefusal, to body: RPCBody?, index: Int?) {
        self.refusal = refusal
        let requests = (body?.messages ?? []).enumerated().filter { $0.element.requestID != nil }
        guard let body, !requests.isEmpty else {
            status = refusal.status
            self.body = Self.error(refusal, id: .null)
            return
        }
        // MCP: an error that belongs to a request is its answer; what a server calls a header mismatch has status 400.
        status = refusal.kind == .malformed ? 400 : 200
        let errors = requests.map { position, message in
            let isMeant = index == nil || index == position
            let other = PolicyRefusal.denied("batch", "another message of the batch is refused: \(refusal.rule)", "send this message without it")
            return Self.error(isMeant ? refusal : other, id: message.requestID ?? .null)
        }
        self.body = body.isBatch ? .array(errors) : errors[0]
    }

    private static func error(_ refusal: PolicyRefusal, id: JSON) -> JSON {
        var data: JSONObject = ["reason": "policy", "rule": .string(refusal.rule), "remedy": .string(refusal.remedy)]
        if case .rate(let seconds) = refusal.kind { data["retry_after_seconds"] = JSON(seconds) }
        let message = "refused by the policy of this route (\(refusal.rule)): \(refusal.message); \(refusal.remedy)"
        return [
            "jsonrpc": "2.0", "id": id, "error": ["code": JSON(refusal.code), "message": .string(message), "data": .object(data)],
        ]
    }

    /// The answer on the wire.
    func encoded(keepsAlive: Bool) -> [UInt8] {
        let json = body.encoded
        var fields = HTTPFields()
        fields.append("Content-Type", "application/json")
        fields.append("Content-Length", String(json.count))
        fields.append("Postern-Answer-By", "connector")
        if refusal.kind == .method { fields.append("Allow", "POST, GET, HEAD, OPTIONS, DELETE") }
        if status == 429, case .rate(let seconds) = refusal.kind { fields.append("Retry-After", String(seconds)) }
        if !keepsAlive { fields.append("Connection", "close") }
        var output = Array("HTTP/1.1 \(status) \(HTTPStatus.phrase(status))\r\n".utf8)
        fields.write(to: &output)
        return output + json
    }
}
