import Crypto
import FoundationEssentials
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternJSON
import PosternMCP
import Testing

/// The way from a refusal to a token, and what leads off it.
@Suite struct OAuthFlowTests {
    private static let secret = "s3cret %+&=/ü"
    let start = ContinuousClock.now

    static func client(_ issuer: String = "https://as.example.com", allowed: Set<String>? = nil) throws -> OAuthClient {
        OAuthClient(issuer: try MCPEndpoint(issuer), id: "client:one", proof: .secret(Secret(secret)), allowedScopes: allowed)
    }

    /// What was asked on the way to the end of it, as the answers of `world` lead.
    func follow(
        _ server: String = "https://mcp.example.com/team/mcp", client: OAuthClient?, challenge: BearerChallenge? = nil,
        need: OAuthRetry.Need = .token,
        scopes: Set<String> = [], _ world: [String: OAuthFlow.Answer]
    ) throws -> (asked: [OAuthFlow.Question], end: OAuthFlow.Step) {
        var flow = OAuthFlow(server: try MCPEndpoint(server), client: client, challenge: challenge, need: need, scopes: scopes)
        var asked: [OAuthFlow.Question] = []
        var step = flow.start()
        while case .ask(let question) = step {
            asked.append(question)
            try #require(asked.count < 20)
            let url = "\(question.url.base.isTLS ? "https" : "http")://\(question.url.base.host):\(question.url.base.port)\(question.url.target)"
            step = flow.receive(world[url] ?? .answer(status: 404, body: []), now: start)
        }
        return (asked, step)
    }

    static func answer(_ json: JSON, _ status: Int = 200) -> OAuthFlow.Answer { .answer(status: status, body: Array(json.text.utf8)) }

    static let resourcePlace = "https://mcp.example.com:443/.well-known/oauth-protected-resource"
    static let issuerPlace = "https://as.example.com:443/.well-known/oauth-authorization-server"
    static let tokenPlace = "https://as.example.com:443/token"

    /// A world in which all is well, with members replaced.
    static func world(
        resource: JSONObject = [:], issuer: JSONObject = [:], token: JSONObject = [:]
    ) -> [String: OAuthFlow.Answer] {
        var first: JSONObject = [
            "resource": "https://mcp.example.com/team/mcp", "authorization_servers": ["https://as.example.com"], "scopes_supported": ["a", "b"],
        ]
        var second: JSONObject = ["issuer": "https://as.example.com", "token_endpoint": "https://as.example.com/token"]
        var third: JSONObject = ["access_token": "tok", "token_type": "bearer", "expires_in": 3600]
        first.merge(patch: resource)
        second.merge(patch: issuer)
        third.merge(patch: token)
        return [
            "\(resourcePlace)/team/mcp": answer(.object(first)), issuerPlace: answer(.object(second)), tokenPlace: answer(.object(third)),
        ]
    }

    func refusal(_ end: OAuthFlow.Step) -> OAuthProblem? {
        guard case .fail(let problem) = end else { return nil }
        return problem
    }

    // MARK: - The way

    @Test func fromTheRefusalToTheToken() throws {
        let (asked, end) = try follow(client: Self.client(), Self.world())
        #expect(asked.map(\.stage) == [.resource, .issuer, .token])
        #expect(asked.prefix(2).allSatisfy { $0.form == nil && $0.authorization == nil }, "the secret is shown to the token endpoint alone")
        let form = try #require(asked.last?.form)
        #expect(
            String(decoding: form, as: UTF8.self) == "grant_type=client_credentials&resource=https%3A%2F%2Fmcp.example.com%2Fteam%2Fmcp&scope=a%20b")
        // RFC 6749, section 2.3.1: each half form-encoded, then base64.
        let basic = try #require(asked.last?.authorization?.value)
        let pair = try #require(Base64.decode(String(basic.dropFirst("Basic ".count))))
        #expect(String(decoding: pair, as: UTF8.self) == "client%3Aone:s3cret%20%25%2B%26%3D%2F%C3%BC")
        guard case .done(let token) = end else {
            Issue.record("\(end)")
            return
        }
        #expect(token.value.value == "tok" && token.scopes == ["a", "b"] && token.end == start + .seconds(3570))
        #expect("\(token)".contains("<redacted>") && !"\(token)".contains("tok\""))
    }

    @Test func bothPlacesOfTheResourceAndAllThoseOfTheIssuerAreAskedInTheirOrder() throws {
        let (asked, end) = try follow(
            client: Self.client("https://as.example.com/tenant/one"),
            [
                Self.resourcePlace: Self.answer([
                    "resource": "https://mcp.example.com", "authorization_servers": ["https://as.example.com/tenant/one"],
                ])
            ])
        #expect(
            asked.map(\.url.target) == [
                "/.well-known/oauth-protected-resource/team/mcp", "/.well-known/oauth-protected-resource",
                "/.well-known/oauth-authorization-server/tenant/one", "/.well-known/openid-configuration/tenant/one",
                "/tenant/one/.well-known/openid-configuration",
            ])
        #expect(refusal(end) == OAuthProblem(.answer, "the authorization server metadata: HTTP 404"))
        let root = try follow(
            client: Self.client(),
            [
                "\(Self.resourcePlace)/team/mcp": Self.answer([
                    "resource": "https://mcp.example.com", "authorization_servers": ["https://as.example.com/"],
                ])
            ])
        #expect(root.asked.dropFirst().map(\.url.target) == ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"])
        let top = try follow("https://mcp.example.com", client: Self.client(), [:])
        #expect(top.asked.map(\.url.target) == ["/.well-known/oauth-protected-resource"])
        // RFC 9728, section 3.1, keeps the query too.
        for own in ["/team/mcp?k=v", "?k=v"] {
            let queried = try follow("https://mcp.example.com\(own)", client: Self.client(), [:])
            #expect(queried.asked.map(\.url.target) == ["/.well-known/oauth-protected-resource\(own)", "/.well-known/oauth-protected-resource"])
        }
    }

    @Test func theNamedMetadataIsTheOnlyOneAndNoOutageLeadsOn() throws {
        let named = BearerChallenge(resourceMetadata: "https://MCP.example.com:443/elsewhere")
        #expect(try follow(client: Self.client(), challenge: named, Self.world()).asked.map(\.url.target) == ["/elsewhere"])
        var world = Self.world()
        for status in [500, 503, 204, 301, 307] {
            world["\(Self.resourcePlace)/team/mcp"] = .answer(status: status, body: [])
            #expect(try follow(client: Self.client(), world).asked.count == 1)
        }
        for answer in [OAuthFlow.Answer.tooLarge, .none("it is away"), .cancelled] {
            world["\(Self.resourcePlace)/team/mcp"] = answer
            #expect(try follow(client: Self.client(), world).asked.count == 1)
        }
    }

    @Test func withoutAClientOnlyTheServerIsAsked() throws {
        let (asked, end) = try follow(client: nil, Self.world())
        #expect(asked.map(\.stage) == [.resource])
        guard case .described(let resource) = end else {
            Issue.record("\(end)")
            return
        }
        #expect(resource.authorizationServers == ["https://as.example.com"] && resource.scopes == ["a", "b"])
    }

    @Test(
        arguments: [
            (nil, [], OAuthRetry.Need.token, "a b"), ("c", [], .token, "c"), ("c", ["x"], .token, "c x"), (nil, ["x"], .token, "x"),
            (nil, ["x"], .scopes, "a b x"), ("c", ["x"], .scopes, "c x"), ("", [], .token, nil), ("q\"x ok", [], .token, "ok"),
        ] as [(String?, Set<String>, OAuthRetry.Need, String?)])
    func scopesAreWhatTheChallengeSaysElseWhatTheResourceLists(said: String?, before: Set<String>, need: OAuthRetry.Need, wanted: String?) throws {
        let challenge = BearerChallenge(scope: said)
        let (asked, _) = try follow(client: Self.client(), challenge: challenge, need: need, scopes: before, Self.world())
        #expect(try scope(asked) == wanted)
    }

    /// What the token was asked for with; nil where the form names no scopes.
    private func scope(_ asked: [OAuthFlow.Question]) throws -> String? {
        let form = String(decoding: try #require(asked.last?.form), as: UTF8.self)
        return form.split(separator: "&").first { $0.hasPrefix("scope=") }.map { String($0.dropFirst(6)).replacing("%20", with: " ") }
    }

    /// An authorization server that is asked for no scopes gives what it likes, and what a resource lists is not demanded.
    @Test(
        arguments: [
            (nil, [], [], OAuthRetry.Need.token, "a x"), ("", ["b"], [], .token, "a x"),
            (String(repeating: "b ", count: 2049), [], [], .token, "a x"), (nil, ["b"], [], .token, "a x"),
            (nil, ["a", "b"], [], .token, "a"), (nil, ["x", "b"], ["a"], .scopes, "a x"), ("a", ["x"], [], .token, "a"),
            (nil, ["x"], ["a"], .token, "a"),
        ] as [(String?, [String], Set<String>, OAuthRetry.Need, String)])
    func theOperatorsScopesAreTheMost(said: String?, listed: [String], before: Set<String>, need: OAuthRetry.Need, wanted: String) throws {
        let world = Self.world(resource: ["scopes_supported": .array(listed.map(JSON.string))])
        let (asked, _) = try follow(
            client: Self.client(allowed: ["a", "x"]), challenge: BearerChallenge(scope: said), need: need, scopes: before, world)
        #expect(try scope(asked) == wanted)
    }

    @Test(
        arguments: [
            ("a", true), ("a b", true), ("", true), (.null, true), ("a admin", false), ("admin", false), (["admin"], false),
            (.string(String(repeating: "a ", count: 3000) + "admin"), false), ("adm\"in", false),
        ] as [(JSON, Bool)])
    func aTokenThatMayMoreThanTheOperatorAllowsIsNotSent(given: JSON, isTaken: Bool) throws {
        let world = Self.world(token: ["scope": given])
        let (_, end) = try follow(client: Self.client(allowed: ["a", "b"]), world)
        let kind = refusal(end)?.kind
        if case .done = end { #expect(isTaken) } else { #expect(!isTaken && (kind == .scope || kind == .answer), "\(end)") }
        guard case .done = try follow(client: Self.client(), world).end else {
            Issue.record("without --oauth-scope it is the authorization server's word")
            return
        }
    }

    @Test func scopesDoNotGrowWithoutAnEnd() throws {
        let challenge = BearerChallenge(scope: "a")
        func follow(scopes count: Int) throws -> (asked: [OAuthFlow.Question], end: OAuthFlow.Step) {
            let before = Set((0..<count).map { "\($0)\(String(repeating: "x", count: 4000))" })
            return try self.follow(client: Self.client(), challenge: challenge, need: .scopes, scopes: before, Self.world())
        }
        guard case .done = try follow(scopes: 4).end else {
            Issue.record("these are not too many")
            return
        }
        let (asked, end) = try follow(scopes: 5)
        #expect(refusal(end)?.kind == .scope && !asked.contains { $0.stage == .token })
    }

    // MARK: - Off the way

    @Test(arguments: [
        "https://other.example.com/team/mcp", "http://mcp.example.com/team/mcp", "https://mcp.example.com:8443/team/mcp",
        "https://mcp.example.com/tea",
        "https://mcp.example.com/team/mcp/below", "https://mcp.example.com/team/other", "https://mcp.example.com.evil.net/team/mcp", "urn:mcp", "",
        "https://mcp.example.com@evil.net/team/mcp", "https://mcp.example.com/team/mcp?x=1", "https://mcp.example.com/team/mcp#x",
    ])
    func anotherResourceIsRefusedAndBothAreNamed(resource: String) throws {
        let (asked, end) = try follow(client: Self.client(), Self.world(resource: ["resource": .string(resource)]))
        let problem = try #require(refusal(end))
        #expect(problem.kind == .resourceMismatch && asked.count == 1)
        #expect(problem.text.contains(resource) && problem.text.contains("https://mcp.example.com/team/mcp"))
    }

    @Test(arguments: [
        ("/team/meta", "https://mcp.example.com/team", false), ("/team/meta", "https://mcp.example.com", false),
        ("/team/meta", "https://mcp.example.com/team/mcp", true), ("/.well-known/oauth-protected-resource/x", "https://mcp.example.com", true),
        ("/.well-known/oauth-protected-resource/../../team/meta", "https://mcp.example.com", false),
        ("/.well-known/oauth-protected-resource/%2E%2e/%2e%2E/team/meta", "https://mcp.example.com", false),
        ("/.well-known/oauth-protected-resources", "https://mcp.example.com", false),
    ])
    func onlyTheHostSpeaksForMoreThanTheServer(place: String, resource: String, isTaken: Bool) throws {
        var world = Self.world()
        world["https://mcp.example.com:443\(place)"] = Self.answer([
            "resource": .string(resource), "authorization_servers": ["https://as.example.com"],
        ])
        let challenge = BearerChallenge(resourceMetadata: "https://mcp.example.com\(place)")
        let (_, end) = try follow(client: Self.client(), challenge: challenge, world)
        if case .done = end { #expect(isTaken) } else { #expect(!isTaken && refusal(end)?.kind == .resourceMismatch, "\(end)") }
    }

    @Test(arguments: [
        "https://mcp.example.com", "https://mcp.example.com/", "https://MCP.example.com:443/team", "https://mcp.example.com/team/",
        "https://mcp.example.com/team/mcp",
    ])
    func theResourceMayBeTheServerOrWhatHoldsIt(resource: String) throws {
        let (asked, end) = try follow(client: Self.client(), Self.world(resource: ["resource": .string(resource)]))
        guard case .done = end else {
            Issue.record("\(end)")
            return
        }
        let form = String(decoding: asked.last?.form ?? [], as: UTF8.self)
        #expect(form.contains("resource=\(PercentEncoding.encode(resource))"), "as it is written")
    }

    @Test(arguments: [
        "http://169.254.169.254/latest/meta-data", "https://evil.example.com/.well-known/oauth-protected-resource", "http://mcp.example.com/m",
        "https://mcp.example.com:8443/m", "file:///etc/passwd", "/.well-known/oauth-protected-resource", "https://mcp.example.com@169.254.169.254/",
    ])
    func metadataIsAskedForAtTheServersOriginOnly(place: String) throws {
        let (asked, end) = try follow(client: Self.client(), challenge: BearerChallenge(resourceMetadata: place), Self.world())
        #expect(asked.isEmpty && refusal(end)?.kind == .metadataElsewhere)
        let looking = try follow(client: nil, challenge: BearerChallenge(resourceMetadata: place), Self.world())
        #expect(looking.asked.isEmpty, "nor without a client")
    }

    @Test(arguments: [
        ["https://evil.example.com"], ["http://as.example.com"], ["https://as.example.com/tenant"], ["https://as.example.com:8443"],
        ["https://as.example.com.evil.net", "https://evil.net/https://as.example.com"],
    ])
    func theSecretIsForTheNamedIssuerAlone(servers: [String]) throws {
        let (asked, end) = try follow(client: Self.client(), Self.world(resource: ["authorization_servers": .array(servers.map(JSON.string))]))
        let problem = try #require(refusal(end))
        #expect(
            problem.kind == .issuerNotOffered && problem.text.contains(servers[0]) && problem.text.contains("https://as.example.com (--oauth-issuer)")
        )
        #expect(asked.map(\.stage) == [.resource])
    }

    @Test(arguments: [
        "https://other.example.com", "http://as.example.com", "https://as.example.com/x", "https://as.example.com/?x", "https://as.example.com:444",
        "",
    ])
    func metadataOfAnotherIssuerIsRefused(issuer: String) throws {
        let (asked, end) = try follow(client: Self.client(), Self.world(issuer: ["issuer": .string(issuer)]))
        #expect(refusal(end)?.kind == .issuerMismatch && !asked.contains { $0.stage == .token })
    }

    @Test(arguments: [
        "http://as.example.com/token", "http://127.0.0.1/token", "https://127.0.0.1/token", "https://localhost/token",
        "https://169.254.169.254/token",
        "https://[fe80::1]/token", "https://2852039166/token", "https://0xa9fea9fe/token", "https://0xA9.0xFE.0xA9.0xFE/token", "https://127.1/token",
        "https://10.0.0.1./token", "ftp://as.example.com/token", "https://as.example.com@evil.net/token", "https:///token", "/token",
    ])
    func noSecretIsSentToATokenEndpointLikeThis(endpoint: String) throws {
        let (asked, end) = try follow(client: Self.client(), Self.world(issuer: ["token_endpoint": .string(endpoint)]))
        #expect(refusal(end)?.kind == .endpoint && !asked.contains { $0.stage == .token }, "\(end)")
    }

    @Test func theTokenEndpointMayHaveANameOfItsOwn() throws {
        let (asked, _) = try follow(client: Self.client(), Self.world(issuer: ["token_endpoint": "https://tokens.example.com/token"]))
        #expect(asked.last?.stage == .token && asked.last?.url.base.host == "tokens.example.com")
    }

    @Test func aWayOfShowingTheSecretIsChosenFromThoseOffered() throws {
        func asked(_ offered: JSON) throws -> (OAuthFlow.Question?, OAuthProblem?) {
            let (asked, end) = try follow(client: Self.client(), Self.world(issuer: ["token_endpoint_auth_methods_supported": offered]))
            return (asked.last { $0.stage == .token }, refusal(end))
        }
        #expect(try asked(["client_secret_post", "client_secret_basic"]).0?.authorization != nil)
        let post = try #require(try asked(["private_key_jwt", "client_secret_post"]).0)
        #expect(post.authorization == nil)
        #expect(String(decoding: post.form ?? [], as: UTF8.self).hasSuffix("&client_id=client%3Aone&client_secret=s3cret%20%25%2B%26%3D%2F%C3%BC"))
        #expect(try asked(["tls_client_auth", "private_key_jwt"]).1?.kind == .unsupported)
        #expect(
            try refusal(follow(client: Self.client(), Self.world(issuer: ["grant_types_supported": ["authorization_code"]])).end)?.kind
                == .unsupported)
        #expect(try refusal(follow(client: Self.client(), Self.world(resource: ["bearer_methods_supported": ["body"]])).end)?.kind == .unsupported)
    }

    @Test func scopesBeyondTheOperatorsAreNotAskedFor() throws {
        let client = try Self.client(allowed: ["a"])
        let (asked, end) = try follow(client: client, challenge: BearerChallenge(scope: "a admin"), Self.world())
        let problem = try #require(refusal(end))
        #expect(problem.kind == .scope && problem.text.contains("\"admin\"") && !asked.contains { $0.stage == .token })
        guard case .done = try follow(client: client, challenge: BearerChallenge(scope: "a"), Self.world()).end else {
            Issue.record("what is allowed is asked for")
            return
        }
    }

    @Test func aKeySignsForTheIssuerAloneAndIsNotShown() throws {
        let key = P256.Signing.PrivateKey()
        let held = try #require(OAuthKey(pem: key.pemRepresentation, id: "k1"))
        let client = OAuthClient(issuer: try MCPEndpoint("https://AS.example.com:443"), id: "client:one", proof: .key(held))
        let (asked, _) = try follow(client: client, Self.world(issuer: ["token_endpoint_auth_methods_supported": ["private_key_jwt"]]))
        let question = try #require(asked.last { $0.stage == .token })
        #expect(question.authorization == nil && !asked.dropLast().contains { $0.assertion != nil })
        #expect(
            String(decoding: question.form ?? [], as: UTF8.self).hasSuffix(
                "&client_id=client%3Aone&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"))
        let token = try #require(try question.assertion?.token(at: Date(timeIntervalSince1970: 1000), nonce: "n"))
        let parts = token.split(separator: ".")
        let (header, claims) = (
            try JSON(parsing: Base64URL.decode(String(parts[0])) ?? []), try JSON(parsing: Base64URL.decode(String(parts[1])) ?? [])
        )
        #expect(header == ["alg": "ES256", "typ": "JWT", "kid": "k1"])
        #expect(
            claims == ["iss": "client:one", "sub": "client:one", "aud": "https://as.example.com", "jti": "n", "iat": 1000, "exp": 1060])
        let signature = try P256.Signing.ECDSASignature(rawRepresentation: Base64URL.decode(String(parts[2])) ?? [])
        #expect(key.publicKey.isValidSignature(signature, for: Array("\(parts[0]).\(parts[1])".utf8)))
        #expect("\(asked)".contains("<redacted>") && !"\(asked)\(held)".contains("PRIVATE"))
        for offer in [
            ["token_endpoint_auth_methods_supported": ["client_secret_basic"]], ["token_endpoint_auth_signing_alg_values_supported": ["RS256"]],
        ]
            as [JSONObject]
        {
            #expect(try refusal(follow(client: client, Self.world(issuer: offer)).end)?.kind == .unsupported)
        }
        #expect(OAuthKey(pem: "x", id: nil) == nil)
    }

    /// Servers compare `aud` byte for byte, and some have a slash at their issuer's end.
    @Test(arguments: ["https://as.example.com/", "https://as.example.com", "https://AS.example.com:443"])
    func anAssertionIsForTheIssuerAsItsMetadataWritesIt(issuer: String) throws {
        let held = try #require(OAuthKey(pem: P256.Signing.PrivateKey().pemRepresentation, id: nil))
        let client = OAuthClient(issuer: try MCPEndpoint("https://as.example.com"), id: "one", proof: .key(held))
        let (asked, _) = try follow(client: client, Self.world(issuer: ["issuer": .string(issuer)]))
        let token = try #require(try asked.last?.assertion?.token(at: Date(timeIntervalSince1970: 1000), nonce: "n"))
        let claims = try JSON(parsing: Base64URL.decode(String(token.split(separator: ".")[1])) ?? [])
        #expect(claims["aud"]?.string == issuer)
    }

    @Test func theQueryOfTheServersURLIsInNoProblem() throws {
        let server = "https://mcp.example.com/team/mcp?key=canary"
        let named = BearerChallenge(resourceMetadata: "https://evil.example.com/m")
        let elsewhere = try follow(server, client: Self.client(), challenge: named, [:])
        let other = try follow(server, client: Self.client(), [Self.resourcePlace: Self.answer(["resource": "https://other.example.com"])])
        for (end, kind) in [(elsewhere.end, OAuthProblem.Kind.metadataElsewhere), (other.end, .resourceMismatch)] {
            let problem = try #require(refusal(end))
            #expect(problem.kind == kind && problem.text.contains("https://mcp.example.com/team/mcp") && !problem.text.contains("canary"))
        }
    }
}
