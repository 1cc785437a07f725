import Crypto
import ManagedAgentsAPI
import PosternJSON
import PosternMCP
import Testing

/// What the last answers are worth: tokens, refusals, and what is no document.
extension OAuthFlowTests {
    static let tokens: [(JSONObject, OAuthProblem.Kind)] = [
        (["access_token": "a\nb"], .token), (["access_token": "a b"], .token), (["access_token": "ü"], .token), (["access_token": ""], .token),
        (["access_token": 1], .answer), (["access_token": .null], .answer), (["token_type": "mac"], .token), (["token_type": .null], .answer),
        (["expires_in": -1], .answer), (["expires_in": "soon"], .answer), (["access_token": .string(String(repeating: "x", count: 16385))], .token),
    ]

    @Test(arguments: tokens)
    func whatIsNoBearerIsNotTaken(change: JSONObject, kind: OAuthProblem.Kind) throws {
        #expect(try refusal(follow(client: Self.client(), Self.world(token: change)).end)?.kind == kind)
    }

    @Test func aTokensLifeIsTakenWithAMargin() throws {
        func life(_ seconds: JSON) throws -> Duration? {
            guard case .done(let token) = try follow(client: Self.client(), Self.world(token: ["expires_in": seconds])).end else { return .zero }
            return token.end.map { $0 - start }
        }
        #expect(try life(10) == .seconds(9))
        #expect(try life(0) == .zero)
        #expect(try life(3600.0) == .seconds(3570))
        #expect(try life(.double(1e300)) == .seconds(365 * 86_400 - 30))
        #expect(try life(.null) == nil)
    }

    @Test func aRefusalSaysWhatHelps() throws {
        var world = Self.world()
        for (error, remedy) in [("invalid_client", "--oauth-client-secret-file"), ("invalid_scope", "scopes"), ("invalid_target", "resource")] {
            world[Self.tokenPlace] = Self.answer(["error": .string(error), "error_description": "because"], 400)
            let problem = try #require(refusal(try follow(client: Self.client(), world).end))
            #expect(problem.kind == .denied && problem.text.contains(error) && problem.text.contains("\"because\"") && problem.text.contains(remedy))
        }
        let held = try #require(OAuthKey(pem: P256.Signing.PrivateKey().pemRepresentation, id: nil))
        let client = OAuthClient(issuer: try MCPEndpoint("https://as.example.com"), id: "one", proof: .key(held))
        world[Self.tokenPlace] = Self.answer(["error": "invalid_client"], 401)
        let unknown = try #require(refusal(try follow(client: client, world).end))
        #expect(unknown.text.contains("--oauth-client-key-file and --oauth-client-key-id") && !unknown.text.contains("--oauth-client-secret-file"))
        world[Self.tokenPlace] = .answer(status: 403, body: Array("<html>".utf8))
        #expect(try refusal(follow(client: Self.client(), world).end) == OAuthProblem(.answer, "the token: HTTP 403 and no \"error\""))
    }

    @Test(arguments: [
        "", "[]", "{", "<html>", #"{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}}}}}}}}}"#,
    ])
    func whatIsNoDocumentIsRefusedAtEachStage(body: String) throws {
        for place in ["\(Self.resourcePlace)/team/mcp", Self.issuerPlace, Self.tokenPlace] {
            var world = Self.world()
            world[place] = .answer(status: 200, body: Array(body.utf8))
            #expect(try refusal(follow(client: Self.client(), world).end)?.kind == .answer, "\(place)")
        }
    }
}
