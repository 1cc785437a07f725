import NIOCore
import PosternJSON
import PosternTunnelLink
import PosternTunnelWire

/// What a caller is told of an error that is the connector's own.
extension CallServer {
    /// The connection carries nothing after it. Errors without a status are told to nobody.
    /// - Parameter hasLeft: whether a byte of the request may have gone upstream.
    func answer(_ error: CallError, hasLeft: Bool, host: TunnelHost, to stream: ByteStream) async {
        guard let status = error.status else { return }
        let type =
            switch status {
            case 401: "authentication_error"
            case 403: "permission_error"
            case 429: "rate_limit_error"
            case ..<500: "invalid_request_error"
            default: "api_error"
            }
        let json: JSON = [
            "type": "error", "error": ["type": .string(type), "message": .string(error.told)], "reason": .string(error.code),
            "sent": JSON.bool(hasLeft),
        ]
        var fields = [(name: "Postern-Answer-By", value: "connector")]
        if [429, 503].contains(status) { fields.append(("Retry-After", "1")) }
        let route = current().routes[host.route]?.route
        if case .bearer(let refusal) = error, let value = BearerChallenge.value(refusal, host: host, scopes: route?.bearer?.scopes ?? []) {
            fields.append(("WWW-Authenticate", value))
        }
        let time = route?.limits.take ?? RouteLimits().take
        try? await WriteWatch.write(ByteBuffer(bytes: JSONAnswer.encoded(status: status, json: json, fields: fields)), to: stream, within: time)
    }
}
