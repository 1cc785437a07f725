import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternTestKit
import Testing

@testable import PosternServer

@Suite struct KeyTests {
    @Test func environmentKeys() async throws {
        let server = try await Fixture()
        let environment = try await server.environment()
        let root = "/postern/v1/environments/\(environment)/keys"
        let created = try await server.call(.post, root, body: ["name": "worker 1"])
        let secret = created.json["secret"]?.string ?? ""
        #expect(secret.hasPrefix("sk-postern-env-") && secret.utf8.count == "sk-postern-env-".utf8.count + 44)
        #expect(created.json["environment_id"] == .string(environment) && created.json["hint"]?.string?.utf8.count ?? 99 < secret.utf8.count / 2)
        let listed = try await server.call(.get, root)
        #expect(listed.json["data"]?.array?.count == 1 && !listed.text.contains(secret) && listed.json["data"]?.array?.first?["secret"] == nil)
        #expect(try await server.call(.get, "/v1/environments/\(environment)/work/poll", key: secret).status == 200)
        let revoked = try await server.call(.delete, root + "/\(created.id)")
        #expect(revoked.json["revoked_at"]?.string != nil)
        let after = try await server.call(.get, "/v1/environments/\(environment)/work/poll", key: secret)
        #expect(after.status == 401 && after.message == "OAuth access token has been revoked.")
        #expect(after.headers[.requestID] == nil && after.json["request_id"] == .null, "as the reference answers this one")
        #expect(try await server.call(.delete, root + "/\(created.id)").status == 200, "twice is once")
        #expect(try await server.call(.delete, root + "/ekey_x").status == 404)
        #expect(try await server.call(.post, "/postern/v1/environments/env_x/keys", body: [:]).status == 404)
    }

    @Test func apiKeysExpire() async throws {
        let server = try await Fixture()
        let soon = Timestamp.now().advanced(by: .milliseconds(300))
        let created = try await server.call(
            .post, "/postern/v1/keys", body: ["name": "k", "role": "viewer", "expires_at": .string(soon.description)])
        let secret = created.json["secret"]?.string ?? ""
        #expect(try await server.call(.get, "/v1/agents", key: secret).status == 200)
        // The one wait of this suite: for a clock that is not the test's.
        try await Task.sleep(for: .milliseconds(350))
        #expect(try await server.call(.get, "/v1/agents", key: secret).status == 401)
        let past = try await server.call(.post, "/postern/v1/keys", body: ["name": "k", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"])
        #expect(past.status == 400)
        #expect(try await server.call(.post, "/postern/v1/keys", body: ["name": "k", "role": "root"]).status == 400)
        #expect(try await server.call(.post, "/postern/v1/keys", body: ["name": "k"]).message == "role: Field required")
    }

    @Test func theFirstStartMakesOneAdmin() async throws {
        let server = try await Fixture()
        #expect(server.admin.hasPrefix("sk-postern-api-"))
        #expect(try await server.services.keys.bootstrapAdmin(secret: nil).secret == nil, "a second start makes none")
        let chosen = "an-operator-chose-this-key-themselves"
        let given = try await server.services.keys.bootstrapAdmin(secret: chosen)
        #expect(given.secret == nil && given.key?.role == .admin)
        #expect(try await server.call(.get, "/postern/v1/keys", key: chosen).status == 200)
        #expect(try await server.services.keys.bootstrapAdmin(secret: chosen).key?.id == given.key?.id)
        await #expect(throws: APIError.self) { try await server.services.keys.bootstrapAdmin(secret: "short") }
    }

    @Test func secretsAreStoredHashedOnly() async throws {
        let server = try await Fixture()
        let keys = try await server.store.keys(workspaceID: server.workspaceID, kind: .api, environmentID: nil, from: nil, limit: 10).elements
        #expect(keys.count == 1 && keys.allSatisfy { $0.hash.count == 32 && !server.admin.hasSuffix($0.hint) })
        #expect(keys.first?.hash == Secrets.sha256.hash(server.admin))
    }
}
