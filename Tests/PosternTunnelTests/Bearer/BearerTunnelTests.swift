import Foundation
import NIOCore
import PosternHTTP
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire
import Synchronization
import Testing

@testable import PosternConnector

/// Callers without a certificate, through a real tunnel.
@Suite("A route with client_auth: none", .timeLimit(.minutes(2)))
struct BearerTunnelTests {
    private static let host = "docs.\(TunnelWorld.domain)"
    private static let forge = TokenForge()

    private static func options(_ change: @escaping @Sendable (inout BearerSettings) -> Void = { _ in }) throws -> TunnelWorld.Options {
        var options = TunnelWorld.Options()
        options.files = ["keys": try forge.keySet()]
        options.change = { configuration in
            var settings = BearerSettings(issuer: TokenForge.issuer, audiences: [TokenForge.audience], keys: .file("keys"))
            change(&settings)
            configuration.routes["docs"]?.bearer = settings
        }
        return options
    }

    private static func open(_ world: TunnelWorld, host: String = host) async throws -> TunnelClient {
        try await TunnelClient.open(world, .splice, as: .none, host: host)
    }

    private static func field(_ token: String) -> String { "Authorization: Bearer \(token)\r\n" }

    @Test("a token opens it without a certificate, and stays at the connector; nothing else opens it, and refusals say where tokens come from")
    func calls() async throws {
        try await TunnelWorld.run(try Self.options { $0.scopes = ["mcp:read"] }) { world in
            var client = try await Self.open(world)
            let good = try Self.forge.token()
            for _ in 0..<2 { #expect(try await client.call("GET", "/head", fields: Self.field(good)).status == 200) }
            #expect(world.upstream.now.heads.allSatisfy { !$0.lowercased().contains("authorization") && !$0.contains(good) })
            let metadata = "resource_metadata=\"https://\(Self.host)/.well-known/oauth-protected-resource\""
            let expired = try Self.forge.token(TokenForge.claims { $0["exp"] = 1 })
            let narrow = try Self.forge.token(TokenForge.claims { $0["scope"] = "other" })
            for (fields, status, challenge) in [
                ("", 401, "Bearer scope=\"mcp:read\", \(metadata)"), ("Authorization: Basic YTpi\r\n", 401, "Bearer scope=\"mcp:read\", \(metadata)"),
                (Self.field(expired), 401, "Bearer error=\"invalid_token\", scope=\"mcp:read\", \(metadata)"),
                (Self.field(narrow), 403, "Bearer error=\"insufficient_scope\", scope=\"mcp:read\", \(metadata)"),
                (Self.field(good) + Self.field(good), 400, "Bearer error=\"invalid_request\", scope=\"mcp:read\", \(metadata)"),
                ("X-Forwarded-Access-Token: \(good)\r\n", 401, "Bearer scope=\"mcp:read\", \(metadata)"),
            ] {
                var client = try await Self.open(world)
                let answer = try await client.call("GET", "/head?access_token=\(good)", fields: fields)
                #expect(answer.status == status && answer.head.fields.named("www-authenticate").map(\.text) == [challenge], "\(fields.prefix(30))")
                #expect(!answer.body.contains("exp") || answer.body.contains("expired, revoked, malformed"))
            }
            #expect(world.upstream.now.heads.count == 2)
            await world.log.wait { $0.reasons.contains("the bearer token has expired") }
            var asker = try await Self.open(world)
            let answer = try await asker.call("GET", BearerChallenge.path)
            #expect(answer.status == 200 && answer.body.contains("\"authorization_servers\":[\"\(TokenForge.issuer)\"]"))
            #expect(answer.body.contains("\"resource\":\"https://\(Self.host)\""))
            // The way in of this route is none to another one.
            var other = try await Self.open(world)
            #expect(try await other.call("GET", "/head", host: "other.\(TunnelWorld.domain)", fields: Self.field(good)).status == 421)
            #expect(world.upstream.now.heads.count == 2)
            await #expect(throws: (any Error).self) {
                var bare = try await Self.open(world, host: "other.\(TunnelWorld.domain)")
                _ = try await bare.call("GET", "/head", host: "other.\(TunnelWorld.domain)", fields: Self.field(good))
            }
            client.stream.close()
        }
    }

    @Test("who opens connections and says nothing keeps nobody out")
    func silence() async throws {
        var options = try Self.options()
        let change = options.change
        options.change = { configuration in
            change(&configuration)
            configuration.routes["docs"]?.limits.concurrency = 2
        }
        options.times.handshake = .minutes(1)
        try await TunnelWorld.run(options) { world in
            var silent: [TunnelClient] = []
            for _ in 0..<3 { silent.append(try await Self.open(world)) }
            // The one that has waited longest gives way, long before its time is over.
            var first = silent[0].reader
            let end = await #expect(throws: (any Error).self) { _ = try await first.head(idle: .seconds(30), whole: .seconds(30)) }
            #expect(!(end is TimedOut))
            var client = try await Self.open(world)
            #expect(try await client.call("GET", "/head", fields: Self.field(try Self.forge.token())).status == 200)
            for client in silent { client.stream.close() }
        }
    }

    @Test("the token goes on where the route says so")
    func forwards() async throws {
        try await TunnelWorld.run(try Self.options { $0.forwards = true }) { world in
            let good = try Self.forge.token()
            var client = try await Self.open(world)
            #expect(try await client.call("GET", "/head", fields: Self.field(good)).body.contains("Authorization: Bearer \(good)"))
        }
    }

    @Test("a caller is who its token names: on connections, for sessions, and to the list of callers")
    func identities() async throws {
        var options = try Self.options()
        options.callers = Callers()
        options.callers.clients = ["cli"]
        try await TunnelWorld.run(options) { world in
            world.upstream.mcp.withLock { $0 = "HTTP/1.1 200 OK\r\nMcp-Session-Id: s\r\nContent-Length: 2\r\n\r\n{}" }
            let ada = try Self.forge.token()
            let eve = try Self.forge.token(TokenForge.claims { $0["sub"] = "eve" })
            var client = try await Self.open(world)
            let first = try await client.call("POST", "/mcp", body: "{}", fields: Self.field(ada))
            let session = "Mcp-Session-Id: \(try #require(first.head.fields.named("mcp-session-id").first).text)\r\n"
            // A newer token of the same caller goes on; another caller's does not, and needs a connection of its own.
            let newer = try Self.forge.token(TokenForge.claims { $0["jti"] = "2" })
            #expect(try await client.call("POST", "/mcp", body: "{}", fields: Self.field(newer) + session).status == 200)
            let connections = world.upstream.now.connections
            #expect(try await client.call("POST", "/mcp", body: "{}", fields: Self.field(eve)).status == 421)
            for (fields, status) in [
                (Self.field(ada) + session, 200), (Self.field(eve) + session, 404),
                (Self.field(try Self.forge.token(TokenForge.claims { $0["client_id"] = "other" })), 403),
            ] {
                var next = try await Self.open(world)
                #expect(try await next.call("POST", "/mcp", body: "{}", fields: fields).status == status)
            }
            #expect(world.upstream.now.connections == connections + 1)
            // Not the caller that a certificate would name so.
            let identity = RuntimeIdentity(tunnelID: TunnelWorld.tunnelID, workspaceID: TunnelWorld.workspaceID, person: "ada", client: "cli")
            var token = identity
            token.issuer = TokenForge.issuer
            #expect(CallerSubject(identity) != CallerSubject(token))
            #expect(throws: RuntimeIdentityError.self) { try token.uris }
        }
    }

    @Test("a call ends with its token")
    func ends() async throws {
        try await TunnelWorld.run(try Self.options { $0.clockSkew = 0 }) { world in
            let client = try await Lifetime.long(from: 2) { seconds in
                let token = try Self.forge.token(TokenForge.claims { $0["exp"] = Int(Date().timeIntervalSince1970 + seconds) })
                var client = try await Self.open(world)
                try await client.send("GET /events HTTP/1.1\r\nHost: \(Self.host)\r\n\(Self.field(token))\r\n")
                let head = try #require(try await client.head())
                guard head.status == 200 else { throw ChannelError.eof }
                return client
            }
            await #expect(throws: (any Error).self) { while try await client.stream.read() != nil {} }
            await world.log.wait { $0.refusals.last == "token_ended" }
        }
    }

    @Test("what the document takes back cuts what runs: the issuer's key, the audience, the way in itself")
    func reloads() async throws {
        let other = try TokenForge().keySet()
        for change in ["keys", "audience", "certificate", "still"] {
            let options = try Self.options()
            try await TunnelWorld.run(options) { world in
                var client = try await Self.open(world)
                try await client.send("GET /events HTTP/1.1\r\nHost: \(Self.host)\r\n\(Self.field(try Self.forge.token()))\r\n")
                _ = try #require(try await client.head())
                var changed = options
                switch change {
                case "keys": changed.files["keys"] = other
                case "audience": changed.change = try Self.options { $0.audiences = ["https://else.example.com"] }.change
                case "certificate": changed.change = { _ in }
                default: changed.change = try Self.options { $0.clockSkew = 60 }.change
                }
                try await world.reload(changed)
                #expect(world.log.readings == [[2, change == "still" ? 0 : 1, 0]], "\(change)")
                world.upstream.go.open()
                if change == "still" {
                    var body = BodyReader(.chunked)
                    while try await client.piece(&body) != nil {}
                } else {
                    await #expect(throws: (any Error).self) { while try await client.stream.read() != nil {} }
                }
            }
        }
    }

    @Test("the document is refused where it would lend callers without a certificate what the connector holds")
    func document() {
        func problems(_ route: String) -> [String] {
            let text = ConnectorConfigurationTests.good.replacing(
                "    upstream: http://10.0.0.7:8080\n    callers: {clients: [laptop], agents: [agent_1]}\n    headers:\n      Authorization: {file: token}\n",
                with: route)
            do throws(PolicyProblems) {
                _ = try ConnectorConfiguration(text: text, file: "c.yaml", hostName: "h")
                return []
            } catch {
                return error.problems.map(\.description)
            }
        }
        let bearer = "    bearer: {issuer: \"https://login.example.com\", audience: a, jwks: {file: keys.json}}\n"
        let good = "    upstream: https://10.0.0.7:8080\n    client_auth: none\n    callers: {any: true}\n"
        #expect(problems(good + bearer) == [])
        #expect(
            problems(good + bearer.replacing("{file: keys.json}", with: "{url: \"https://login.example.com/keys\", addresses: [10.0.0.0/8]}")) == [])
        for (route, rule) in [
            (good, "c.yaml:19:18: error: routes.docs.client_auth: \"none\" needs a \"bearer\" block"),
            (good.replacing("none", with: "certificate") + bearer, "is for routes with client_auth: none"),
            (good.replacing("none", with: "maybe"), "must be one of certificate, none"),
            (good + bearer + "    headers: {X-Key: {file: k}}\n", "routes.docs.headers: cannot stand beside client_auth: none"),
            (good + bearer + "    client_certificate: {certificate_file: a, key_file: b}\n", "routes.docs.client_certificate: cannot stand"),
            (good.replacing("upstream: https://10.0.0.7:8080", with: "command: [/bin/x]") + bearer, "routes.docs.command: cannot stand"),
            (good.replacing("{any: true}", with: "{agents: [agent_1]}") + bearer, "are named by certificates only"),
            (good + bearer.replacing("https:", with: "http:"), "routes.docs.bearer.issuer"),
            (good + bearer.replacing("{file: keys.json}", with: "{url: \"http://x/\"}"), "must be an https URL"),
            (good + bearer.replacing("{file: keys.json}", with: "{}"), "must name a file or a URL"),
            (good + bearer.replacing("audience: a, ", with: ""), "routes.docs.bearer.audience: is missing"),
            (good + bearer.replacing("audience: a", with: "audience: a, algorithms: [HS256]"), "must be one of ES256"),
            (good + bearer.replacing("audience: a", with: "audience: a, algorithms: [none]"), "must be one of ES256"),
            (good + bearer.replacing("audience: a", with: "audience: a, clock_skew_seconds: 600"), "from 0 to 120"),
        ] {
            let found = problems(route)
            #expect(found.contains { $0.contains(rule) }, "\(rule): \(found)")
        }
    }
}
