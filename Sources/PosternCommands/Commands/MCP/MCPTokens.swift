import ManagedAgentsClient
import PosternMCP

/// How tokens for one server are got: as the options say, or not at all.
struct MCPTokens: Sendable {
    private let server: MCPEndpoint
    private let client: OAuthClient?
    private let proxy: Proxy?
    private let caFile: String?

    /// - Parameter server: by the URL that it has for authorization servers.
    init(_ options: MCPServerOptions, server: MCPEndpoint) throws {
        self.server = server
        client = try options.oauth.client()
        caFile = options.oauth.oauthCAFile ?? options.caFile
        guard client != nil else {
            proxy = nil
            return
        }
        let settings = try Configuration(.client, flags: options.flags, environment: ProcessEnvironment.current)
        do { proxy = try settings.text(.clientProxy).map { try Proxy($0) } } catch { throw CommandError(.configuration, "\(error)") }
    }

    /// Gives `body` a link over `transport` that follows the server's refusals where a client is registered. Where none is, a refusal tells what the server
    /// says of its tokens.
    func link<Value: Sendable>(
        _ transport: any ClientTransport, _ endpoint: MCPEndpoint, _ settings: HTTPLink.Settings, _ trace: MCPConnection.Trace?,
        _ body: @Sendable (any MCPLink) async throws(MCPError) -> Value
    ) async throws(MCPError) -> Value {
        let authorities = AuthorityTransports(proxy: proxy, caFile: caFile)
        let asking = OAuthAsking(server: transport) { host throws(TransportError) in try authorities.transport(to: host) }
        let tokens = client.map { OAuthTokens(server: server, client: $0, asking: asking, onStep: { trace?.add(part: $0) }) }
        do throws(MCPError) {
            let value = try await body(HTTPLink(transport, endpoint: endpoint, settings: settings, tokens: tokens))
            await authorities.shutdown()
            return value
        } catch {
            await authorities.shutdown()
            guard case .unauthorized(let challenge, hasToken: false) = error, let said = await asking.described(server, challenge) else {
                throw error
            }
            var told = challenge ?? BearerChallenge()
            told.authorizationServers = said.authorizationServers
            told.scope = told.scope ?? (said.scopes.isEmpty ? nil : said.scopes.sorted().joined(separator: " "))
            throw .unauthorized(told, hasToken: false)
        }
    }
}
