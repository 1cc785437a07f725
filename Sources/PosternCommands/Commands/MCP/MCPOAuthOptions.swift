import ArgumentParser
import ManagedAgentsClient
import PosternMCP

/// Who gives tokens for a server, and as which client.
struct MCPOAuthOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The authorization server that gives tokens for the MCP server, by its issuer's URL. The client's secret is shown to nobody else, whomever the MCP "
                + "server names.", valueName: "url"))
    var oauthIssuer: String?

    @Option(name: .long, help: ArgumentHelp("The client that is registered there for the grant client_credentials.", valueName: "id"))
    var oauthClientID: String?

    @Option(name: .long, help: ArgumentHelp("File whose first line is that client's secret.", valueName: "file"))
    var oauthClientSecretFile: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "PEM file of that client's key, of the curve P-256, in place of a secret: it signs for each token, and is shown to nobody (private_key_jwt).",
            valueName: "file"))
    var oauthClientKeyFile: String?

    @Option(
        name: .long, help: ArgumentHelp("What the authorization server calls the key (kid), where it has several of the client.", valueName: "id"))
    var oauthClientKeyID: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Ask for this scope at most, refuse to where the server wants others, and send no token that has others; may be repeated. Otherwise what the "
                + "server wants is asked for.", valueName: "scope"))
    var oauthScope: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "PEM file of the only authorities to trust for the authorization server; otherwise as for the MCP server.", valueName: "file"))
    var oauthCAFile: String?

    var isGiven: Bool { oauthIssuer != nil }

    func validate() throws {
        let needed = [oauthIssuer, oauthClientID, oauthClientSecretFile ?? oauthClientKeyFile]
        guard needed.allSatisfy({ $0 != nil }) || needed.allSatisfy({ $0 == nil }) else {
            throw ValidationError("--oauth-issuer, --oauth-client-id and --oauth-client-secret-file or --oauth-client-key-file go together")
        }
        guard oauthClientSecretFile == nil || oauthClientKeyFile == nil else {
            throw ValidationError("--oauth-client-secret-file and --oauth-client-key-file are two of a kind; give one")
        }
        guard oauthClientKeyID == nil || oauthClientKeyFile != nil else {
            throw ValidationError("--oauth-client-key-id goes with --oauth-client-key-file")
        }
        guard isGiven || oauthScope.isEmpty && oauthCAFile == nil else {
            throw ValidationError("--oauth-scope and --oauth-ca-file go with --oauth-issuer")
        }
        guard oauthScope.allSatisfy({ !$0.isEmpty && !$0.contains(" ") }) else {
            throw ValidationError("--oauth-scope is one scope; give it again for another")
        }
    }

    /// What is registered; nil where no OAuth was asked for.
    func client() throws(CommandError) -> OAuthClient? {
        guard let oauthIssuer, let oauthClientID else { return nil }
        let issuer: MCPEndpoint
        do { issuer = try MCPEndpoint(oauthIssuer) } catch { throw CommandError(.configuration, "--oauth-issuer: \(error)") }
        // RFC 8414, section 2.
        guard !issuer.target.contains("?") else { throw CommandError(.configuration, "--oauth-issuer: the URL of an issuer has no query") }
        return OAuthClient(
            issuer: issuer, id: oauthClientID, proof: try proof(), allowedScopes: oauthScope.isEmpty ? nil : Set(oauthScope))
    }

    private func proof() throws(CommandError) -> OAuthClient.Proof {
        if let oauthClientSecretFile { return .secret(Secret(try TextFile.readSecret(oauthClientSecretFile))) }
        let file = oauthClientKeyFile ?? ""
        guard let key = OAuthKey(pem: try TextFile.read(file), id: oauthClientKeyID) else {
            throw CommandError(
                .configuration, "\(file) is no PEM file of a key of the curve P-256 (openssl ecparam -name prime256v1 -genkey -noout makes one)")
        }
        return .key(key)
    }
}
