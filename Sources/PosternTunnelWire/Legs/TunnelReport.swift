import PosternHTTP

/// What a runtime tells an edge of a call by `CONNECT` whose inner handshake failed: `POST /v1/tunnel/report` with the credential that opened the call,
/// and the name that the edge gave it in the answer to `CONNECT`.
package struct TunnelReport: Hashable, Sendable {
    package static let path = "/v1/tunnel/report"
    /// The field that names a call.
    package static let field = "Postern-Call"

    package enum Reason: String, Hashable, Sendable, CaseIterable {
        /// The connector's certificate breaks a rule.
        case certificate
        case oldProtocol = "old_protocol"
        case noApplicationProtocol = "no_application_protocol"
        /// One that is not known here.
        case other
    }

    package var call: String
    package var reason: Reason

    package init(call: String, reason: Reason) {
        self.call = call
        self.reason = reason
    }

    /// - Parameter apiKey: what the call was opened with; `nil` where a client certificate was shown.
    package func encoded(host: String, apiKey: String?) -> [UInt8] {
        var fields = HTTPFields()
        fields.append("Host", host)
        fields.append("Content-Length", "0")
        fields.append("Connection", "close")
        fields.append(Self.field, call)
        fields.append("Postern-Reason", reason.rawValue)
        if let apiKey { fields.append("Proxy-Authorization", "Bearer \(apiKey)") }
        var output = Array("POST \(Self.path) HTTP/1.1\r\n".utf8)
        fields.write(to: &output)
        return output
    }

    package static func matches(_ head: RequestHead) -> Bool { head.target.elementsEqual(path.utf8) }

    package init(_ head: RequestHead) throws(HTTPRefusal) {
        guard head.method == "POST", head.body.isEmpty else { throw HTTPRefusal("\(Self.path) is asked for with POST and takes no body") }
        guard let call = Self.call(head.fields) else { throw HTTPRefusal("\"\(Self.field)\" must name the call, as the answer to CONNECT did") }
        let reasons = head.fields.named("postern-reason")
        self.init(call: call, reason: reasons.count == 1 ? Reason(rawValue: reasons[0].text) ?? .other : .other)
    }

    /// The name of a call, where the fields hold one.
    package static func call(_ fields: HTTPFields) -> String? {
        let found = fields.named("postern-call")
        guard found.count == 1, LegRequest.isPlain(found[0].text) else { return nil }
        return found[0].text
    }
}
