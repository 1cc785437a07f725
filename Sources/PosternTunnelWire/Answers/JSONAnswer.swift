import PosternHTTP
import PosternJSON

/// An answer of edge or connector itself, in JSON, after which the connection ends.
package enum JSONAnswer {
    /// Largest body of an edge's refusal, bytes.
    package static let longestRefusal = 16_384

    /// The answer on the wire, HTTP/1.1.
    package static func encoded(status: Int, json: JSON, fields extra: [(name: String, value: String)] = []) -> [UInt8] {
        let body = json.encoded
        var fields = HTTPFields()
        fields.append("Content-Type", "application/json")
        fields.append("Content-Length", String(body.count))
        fields.append("Connection", "close")
        for field in extra { fields.append(field.name, field.value) }
        var output = Array("HTTP/1.1 \(status) \(HTTPStatus.phrase(status))\r\n".utf8)
        fields.write(to: &output)
        return output + body
    }
}
