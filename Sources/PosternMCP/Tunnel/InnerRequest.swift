import ManagedAgentsClient
import PosternHTTP
import PosternTunnelWire

/// One request as it goes over inner TLS. A value without I/O.
package struct InnerRequest: Sendable {
    package let method: String
    /// Head and body.
    package let bytes: [UInt8]

    /// Why a request is not sent.
    package struct Invalid: Error, Sendable, Hashable, CustomStringConvertible {
        package var description: String
    }

    /// Set by this side, or of no use between it and a connector.
    private static let own: Set<String> = [
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect", "proxy-authorization",
        "proxy-connection", "http2-settings", CallRenewal.header,
    ]

    /// - Parameters:
    ///   - host: the route's host name, which is the inner server name too.
    ///   - call: what the call is called, so that it can be prolonged; of a renewal the call that it prolongs.
    package init(_ request: ClientRequest, host: String, call: String? = nil) throws(Invalid) {
        guard request.target.utf8.first == UInt8(ascii: "/"), request.target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Invalid(description: "the path must begin with / and be percent-encoded ASCII")
        }
        method = request.method.rawValue
        var fields = HTTPFields()
        fields.append("Host", host)
        if let call { fields.append(CallRenewal.header, call) }
        for field in request.headers.fields {
            guard !field.name.isEmpty, field.name.utf8.allSatisfy(HTTPText.isToken) else {
                throw Invalid(description: "a header field's name holds a byte that is not allowed")
            }
            guard field.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                throw Invalid(description: "header \(field.name) holds a control byte")
            }
            guard !Self.own.contains(field.name.lowercased()) else { throw Invalid(description: "header \(field.name) is set by the client itself") }
            fields.append(field.name, field.value)
        }
        // A GET without a body has no length; everything else tells it, 0 too.
        if request.method != .get || !request.body.isEmpty { fields.append("Content-Length", String(request.body.count)) }
        var output = Array("\(method) \(request.target) HTTP/1.1\r\n".utf8)
        fields.write(to: &output)
        bytes = output + request.body
    }
}
