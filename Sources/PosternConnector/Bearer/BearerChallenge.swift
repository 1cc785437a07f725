import PosternHTTP
import PosternJSON
import PosternTunnelWire

/// How callers learn what token a route takes: the challenge of a refusal (RFC 6750, section 3), and the metadata that it names (RFC 9728), which MCP's
/// clients ask for.
enum BearerChallenge {
    static let path = "/.well-known/oauth-protected-resource"

    /// The value of `WWW-Authenticate`; `nil` where the refusal has none.
    static func value(_ refusal: BearerRefusal, host: TunnelHost, scopes: Set<String>) -> String? {
        var parts: [String] = []
        switch refusal {
        // RFC 6750, section 3.1: who has shown no credentials is told of no error.
        case .missing: break
        case .request: parts.append("error=\"invalid_request\"")
        case .scope: parts.append("error=\"insufficient_scope\"")
        case .noKeys: return nil
        default: parts.append("error=\"invalid_token\"")
        }
        if !scopes.isEmpty { parts.append("scope=\"\(scopes.sorted().joined(separator: " "))\"") }
        parts.append("resource_metadata=\"https://\(host.name)\(path)\"")
        return "Bearer " + parts.joined(separator: ", ")
    }

    /// The answer to a question for the metadata; `nil` for every other request. It needs no token: it says where one comes from.
    static func metadata(_ head: RequestHead, host: TunnelHost, _ settings: BearerSettings) throws(HTTPRefusal) -> [UInt8]? {
        guard head.target.elementsEqual(path.utf8) else { return nil }
        try RouteRequest.checkHost(head, host)
        guard head.method == "GET", head.body.isEmpty else { throw HTTPRefusal(405, "\(path) is asked for with GET") }
        var json: JSON = [
            "resource": .string("https://\(host.name)"), "authorization_servers": [.string(settings.issuer)],
            "bearer_methods_supported": ["header"],
        ]
        if !settings.scopes.isEmpty, case .object(var object) = json {
            object["scopes_supported"] = .array(settings.scopes.sorted().map(JSON.string))
            json = .object(object)
        }
        return JSONAnswer.encoded(status: 200, json: json, fields: [("Postern-Answer-By", "connector"), ("Cache-Control", "no-store")])
    }
}
