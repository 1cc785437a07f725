import PosternTunnelWire
import SeededRandom
import Testing

@Suite struct RuntimeIdentityTests {
    private let least = ["postern:tunnel:tnl_1", "postern:workspace:wrkspc_1"]

    @Test func everyFactComesBack() throws {
        let identity = RuntimeIdentity(
            tunnelID: "tnl_1", workspaceID: "wrkspc_1", agentID: "agent_1", agentVersion: 12, configurationDigest: "sha256:ab", sessionID: "sesn_1",
            person: "someone@example.com", client: "my laptop – №1%", routes: ["docs", "db"])
        let uris = try identity.uris
        #expect(uris.contains("postern:agent-version:12") && uris.contains("postern:configuration:sha256:ab"))
        #expect(uris.contains("postern:person:someone@example.com") && uris.suffix(2) == ["postern:route:docs", "postern:route:db"])
        #expect(uris.allSatisfy { $0.utf8.allSatisfy { $0 > 32 && $0 < 127 } })
        #expect(try RuntimeIdentity(uris: uris) == identity)
        // Order says nothing, but for that of routes.
        #expect(try RuntimeIdentity(uris: [uris[3], uris[1]] + uris[4...] + [uris[0], uris[2]]) == identity)
    }

    @Test func anyTextComesBack() throws {
        var chance = SeededGenerator(seed: 7)
        for _ in 0..<500 {
            let scalars = (0..<Int.random(in: 1...40, using: &chance)).compactMap { _ in Unicode.Scalar(UInt32.random(in: 0...0x2FFF, using: &chance))
            }
            let text = String(String.UnicodeScalarView(scalars))
            guard !text.isEmpty, text.utf8.count <= RuntimeIdentity.longestValue else { continue }
            let identity = RuntimeIdentity(tunnelID: text, workspaceID: text, client: text, routes: [text])
            let read = try RuntimeIdentity(uris: identity.uris)
            // Strings that differ in their bytes may be equal to Swift: the bytes are compared.
            #expect(Array(read.client?.utf8 ?? "".utf8) == Array(text.utf8))
        }
    }

    @Test(arguments: [
        (["postern:workspace:w"], RuntimeIdentityError.missing("tunnel")),
        (["postern:tunnel:t"], .missing("workspace")),
        ([], .missing("tunnel")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:workspace:v"], .repeated("workspace")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:tunnel:t"], .repeated("tunnel")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:route:a", "postern:route:a"], .repeated("route")),
        (["postern:tunnel:", "postern:workspace:w"], .empty("tunnel")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:route:"], .empty("route")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:admin:yes"], .unknown("postern:admin:yes")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:Route:a"], .unknown("postern:Route:a")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:"], .unknown("postern:")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:tunnel"], .unknown("postern:tunnel")),
        (["postern:tunnel:t", "postern:workspace:w", "https://example.com"], .foreignName("https://example.com")),
        (["postern:tunnel:t", "postern:workspace:w", "POSTERN:route:a"], .foreignName("POSTERN:route:a")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:agent-version:0"], .malformed("agent-version")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:agent-version:+1"], .malformed("agent-version")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:agent-version:01"], .malformed("agent-version")),
        (["postern:tunnel:t", "postern:workspace:w", "postern:agent-version:-1"], .malformed("agent-version")),
        // One spelling a value: no other escape of the same text, no raw character that is escaped.
        (["postern:tunnel:%74", "postern:workspace:w"], .malformed("tunnel")),
        (["postern:tunnel:a%2fb", "postern:workspace:w"], .malformed("tunnel")),
        (["postern:tunnel:a/b", "postern:workspace:w"], .malformed("tunnel")),
        (["postern:tunnel:a%2", "postern:workspace:w"], .malformed("tunnel")),
        (["postern:tunnel:a%FF", "postern:workspace:w"], .malformed("tunnel")),
    ])
    func whatIsNotAnIdentityIsRefused(_ uris: [String], _ expected: RuntimeIdentityError) {
        #expect(throws: expected) { try RuntimeIdentity(uris: uris) }
    }

    @Test func boundsHold() throws {
        let longest = String(repeating: "a", count: RuntimeIdentity.longestValue)
        #expect(try RuntimeIdentity(uris: least + ["postern:client:\(longest)"]).client == longest)
        #expect(throws: RuntimeIdentityError.tooLong("client")) { try RuntimeIdentity(uris: least + ["postern:client:\(longest)a"]) }
        let routes = (0..<RuntimeIdentity.mostRoutes).map { "postern:route:\($0)" }
        #expect(try RuntimeIdentity(uris: least + routes).routes.count == RuntimeIdentity.mostRoutes)
        #expect(throws: RuntimeIdentityError.tooManyRoutes) { try RuntimeIdentity(uris: least + routes + ["postern:route:one-more"]) }
        // What would not be read is not written.
        #expect(throws: RuntimeIdentityError.empty("person")) { try RuntimeIdentity(tunnelID: "t", workspaceID: "w", person: "").uris }
    }

    @Test func noRouteStandsForEveryRoute() throws {
        #expect(try RuntimeIdentity(uris: least).opens(route: "docs"))
        let one = try RuntimeIdentity(uris: least + ["postern:route:docs"])
        #expect(one.opens(route: "docs") && !one.opens(route: "doc") && !one.opens(route: ""))
    }
}
