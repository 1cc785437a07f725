import ManagedAgentsClient
import PosternJSON

/// What a server says of its tokens (RFC 9728, section 2), as far as it matters.
package struct ProtectedResource: Sendable, Equatable {
    /// As it is written there: the `resource` of token requests has to be the same, byte for byte, for authorization servers that compare it.
    package var resource: String
    package var authorizationServers: [String]
    package var scopes: Set<String>

    /// - Parameter place: where it was got, at the server's origin.
    init(_ body: [UInt8], at place: MCPEndpoint, server: MCPEndpoint) throws(OAuthProblem) {
        let stage = OAuthFlow.Stage.resource
        let object = try stage.object(body)
        guard let resource = object["resource"]?.string else { throw stage.wrong("it has no string \"resource\"") }
        // What is below one path of a host speaks for itself; only the host speaks for what holds others too.
        let named = MCPEndpoint.foreign(resource)
        guard let named, named.canonical == server.canonical || place.isResourceMetadataPlace && named.holds(server) else {
            throw OAuthProblem(
                .resourceMismatch,
                "the metadata is of the resource \(OAuthProblem.shown(resource)) and not of the server \(server.withoutQuery): a token for one is not "
                    + "sent to the other; give the URL that the resource has, or have the server's metadata corrected")
        }
        guard let servers = object["authorization_servers"]?.array?.compactMap(\.string), !servers.isEmpty else {
            throw stage.wrong("its \"authorization_servers\" names none")
        }
        if let methods = object["bearer_methods_supported"]?.array, !methods.contains("header") {
            throw OAuthProblem(
                .unsupported, "the server takes tokens by no header field (bearer_methods_supported), and by no other way they are sent")
        }
        self.resource = resource
        authorizationServers = servers
        scopes = Set(object["scopes_supported"]?.array?.compactMap(\.string).filter { $0.utf8.allSatisfy(OAuthScopes.isAllowed) } ?? [])
    }
}

/// What an authorization server says of itself (RFC 8414, section 2), as far as it matters.
struct AuthorizationServer: Sendable, Equatable {
    /// As it is written there, which is the operator's issuer in one spelling or another.
    var issuer: String
    var tokenEndpoint: MCPEndpoint
    var method: OAuthClient.Method

    init(_ body: [UInt8], for client: OAuthClient) throws(OAuthProblem) {
        let (stage, issuer) = (OAuthFlow.Stage.issuer, client.issuer)
        let object = try stage.object(body)
        guard let said = object["issuer"]?.string else { throw stage.wrong("it has no string \"issuer\"") }
        // RFC 8414, section 3.3: else anybody who can write a file at that host speaks for the issuer.
        guard MCPEndpoint.foreign(said)?.canonical == issuer.canonical else {
            throw OAuthProblem(
                .issuerMismatch,
                "the metadata at \(issuer.withoutQuery) is of the issuer \(OAuthProblem.shown(said)): the secret is shown to neither; correct "
                    + "--oauth-issuer")
        }
        self.issuer = said
        guard let endpoint = object["token_endpoint"]?.string else { throw stage.wrong("it has no string \"token_endpoint\"") }
        tokenEndpoint = try Self.endpoint(endpoint, of: issuer)
        if let grants = object["grant_types_supported"]?.array, !grants.contains("client_credentials") {
            throw OAuthProblem(.unsupported, "\(issuer.withoutQuery) does not offer the grant client_credentials (grant_types_supported)")
        }
        if let algorithms = object["token_endpoint_auth_signing_alg_values_supported"]?.array, client.methods == [.key], !algorithms.contains("ES256")
        {
            throw OAuthProblem(.unsupported, "\(issuer.withoutQuery) takes no assertions by ES256 (token_endpoint_auth_signing_alg_values_supported)")
        }
        // Where nothing is offered the client is as it was registered.
        let offered = object["token_endpoint_auth_methods_supported"]?.array
        guard let method = client.methods.first(where: { offered?.contains(.string($0.rawValue)) ?? true }) else {
            throw OAuthProblem(
                .unsupported,
                "\(issuer.withoutQuery) takes clients by \(OAuthProblem.shown(offered?.compactMap(\.string).joined(separator: ", ") ?? "")) only; "
                    + "this one has " + client.methods.map(\.rawValue).joined(separator: " and "))
        }
        self.method = method
    }

    /// The issuer may keep its tokens on another host, but on none that only an address names: what is at an address the operator has not named may be a
    /// metadata service or something on this machine. What a name leads to is looked at when it is dialled.
    private static func endpoint(_ text: String, of issuer: MCPEndpoint) throws(OAuthProblem) -> MCPEndpoint {
        func refusal(_ rule: String) -> OAuthProblem {
            OAuthProblem(.endpoint, "the token endpoint of \(issuer.withoutQuery) is \(OAuthProblem.shown(text)): \(rule); no secret is sent there")
        }
        let endpoint: MCPEndpoint
        do { endpoint = try MCPEndpoint(text) } catch { throw refusal("\(error)") }
        guard endpoint.base.host != issuer.base.host else {
            guard endpoint.base.isTLS || !issuer.base.isTLS else { throw refusal("the issuer is reached by https, and so has it to be") }
            return endpoint
        }
        // No domain at the top begins with a digit; resolvers read 0x7f000001 and 127.1 as addresses.
        let isAddress = endpoint.base.host.contains(":") || endpoint.base.host.split(separator: ".").last?.first?.isNumber ?? true
        guard !isAddress, !endpoint.base.isLoopback, endpoint.base.isTLS else {
            throw refusal("on another host than the issuer's it has to be https:// and a name, and not this machine")
        }
        return endpoint
    }
}
