import PosternHTTP
import PosternJSON

/// What an edge answers to the request for a leg.
package enum LegAnswer {
    /// Largest body of a refusal, bytes.
    package static let maximumBody = 16_384

    /// `101`: what follows is HTTP/2 with the edge as its client.
    /// - Parameter date: the edge's clock, as the field `Date` says it.
    package static func accepted(date: String) -> [UInt8] {
        Array("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: \(LegRequest.upgrade)\r\nDate: \(date)\r\n\r\n".utf8)
    }

    /// An answer with a JSON body, after which the connection ends.
    package static func encoded(status: Int, json: JSON, fields extra: [(name: String, value: String)] = []) -> [UInt8] {
        let body = json.encoded
        var fields = HTTPFields()
        fields.append("Content-Type", "application/json")
        fields.append("Content-Length", String(body.count))
        fields.append("Connection", "close")
        for field in extra { fields.append(field.name, field.value) }
        var output = Array("HTTP/1.1 \(status) \(reason(status))\r\n".utf8)
        fields.write(to: &output)
        return output + body
    }

    /// Whether the head says that the leg is open. Throws for a switch to something else.
    package static func isAccepted(_ head: ResponseHead) throws(LegRefusal) -> Bool {
        guard head.status == 101 else { return false }
        guard head.fields.named("upgrade").map({ $0.text.lowercased() }) == [LegRequest.upgrade] else {
            throw LegRefusal(.malformed, "the edge switches to another protocol than \(LegRequest.upgrade)")
        }
        return true
    }

    /// What a refusal says, whatever its body is.
    package static func refusal(_ head: ResponseHead, body: [UInt8]) -> LegRefusal {
        if let json = try? JSON(parsing: body), let refusal = LegRefusal(json: json) { return refusal }
        return LegRefusal(head.status >= 500 || head.status == 429 ? .unavailable : .malformed, "the edge answers with status \(head.status)")
    }

    /// The phrases of RFC 9110, section 15, that are sent here.
    package static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 202: "Accepted"
        case 204: "No Content"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }
}
