import NIOCore
import PosternHTTP
import PosternJSON
import PosternTunnelWire

/// `CONNECT host:443` and what may answer it (RFC 9110, section 9.3.6). Values without I/O.
enum ConnectExchange {
    /// - Parameter apiKey: without one the client certificate of the outer TLS is what the edge goes by.
    static func request(host: String, apiKey: String?) -> [UInt8] {
        let target = ConnectTarget.text(host)
        var fields = HTTPFields()
        fields.append("Host", target)
        if let apiKey { fields.append("Proxy-Authorization", "Bearer \(apiKey)") }
        var output = Array("CONNECT \(target) HTTP/1.1\r\n".utf8)
        fields.write(to: &output)
        return output
    }

    /// Whether the head says that the connection is open from its end on; `rest` is what came behind it.
    static func isOpen(_ head: ResponseHead, rest: Int) throws(TunnelDialError) -> Bool {
        guard head.status == 200 else { return false }
        // Inner TLS begins with this side's word: what is there already came from nobody who may speak.
        guard rest == 0 else { throw .connectAnswer("\(rest) bytes come with it, before anything was sent to a connector") }
        guard !head.fields.contains("transfer-encoding"), head.fields.named("content-length").allSatisfy({ $0.text == "0" }) else {
            throw .connectAnswer("a 200 to CONNECT has no body")
        }
        return true
    }

    /// What a refusal says; its body may be anything.
    static func refusal(_ head: ResponseHead, body: [UInt8]) -> TunnelDialError {
        if let message = (try? JSON(parsing: body))?["error"]?["message"]?.string, !message.isEmpty {
            return .connectRefused(status: head.status, message: String(message.prefix(300)))
        }
        return .connectRefused(status: head.status, message: HTTPStatus.phrase(head.status))
    }
}
