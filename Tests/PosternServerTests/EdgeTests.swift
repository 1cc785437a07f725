import Crypto
import Foundation
import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import Testing

@testable import PosternServer

/// What edges ask.
@Suite struct EdgeTests {
    private static let root = "/postern/v1/edge"

    private func key() -> P256.Signing.PublicKey { P256.Signing.PrivateKey().publicKey }

    private func token(_ server: Fixture, _ tunnel: String) async throws -> String {
        try await server.call(.post, "/v1/tunnels/\(tunnel)/reveal_token").json["tunnel_token"]?.string ?? ""
    }

    private func enrol(_ server: Fixture, _ token: String, _ key: P256.Signing.PublicKey) async throws -> Fixture.Reply {
        let body: JSON = ["tunnel_token": .string(token), "connector_key": .string(key.derRepresentation.base64EncodedString())]
        return try await server.call(.post, Self.root + "/enrolments", key: try await server.apiKey("edge").secret, body: body)
    }

    private func fingerprint(_ key: P256.Signing.PublicKey) -> String {
        SHA256.hash(data: key.derRepresentation).map { String(format: "%02x", $0) }.joined()
    }

    private func live(_ server: Fixture, after: Int? = nil) async throws -> JSON {
        try await server.call(.get, Self.root + "/tunnels" + (after.map { "?after=\($0)" } ?? "")).json
    }

    // MARK: Enrolment

    @Test func aTokenEnrolsAKey() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        let key = key()
        let reply = try await enrol(server, try await token(server, tunnel), key)
        #expect(reply.status == 200, "\(reply.text)")
        #expect(reply.json["tunnel_id"] == .string(tunnel) && reply.json["workspace_id"] == .string(server.workspaceID))
        #expect(reply.json["connector_key"] == .string(fingerprint(key)))
        let before = try await live(server)
        #expect(before["tunnels"]?.array?.first?["connector_keys"] == [.string(fingerprint(key))])
        // Again is no change.
        #expect(try await enrol(server, try await token(server, tunnel), key).json == reply.json)
        #expect(try await live(server) == before)
        let listed = try await server.call(.get, "/postern/v1/tunnels/\(tunnel)/connector_keys").json["data"]?.array
        #expect(listed?.count == 1 && listed?.first?["id"] == .string(fingerprint(key)) && listed?.first?["revoked_at"] == .null)
    }

    @Test func eachRefusalSaysWhy() async throws {
        let server = try await Fixture()
        let (one, two) = (try await server.tunnel(), try await server.tunnel())
        let (first, second) = (try await token(server, one), try await token(server, two))
        func refused(_ reply: Fixture.Reply, _ status: Int, _ reason: String) {
            #expect(reply.status == status && reply.json["reason"] == .string(reason) && reply.message?.hasPrefix(reason) == true, "\(reply.text)")
        }
        let known = key()
        _ = try await enrol(server, first, known)
        refused(try await enrol(server, second, known), 409, "key_of_another_tunnel")
        _ = try await server.call(.post, "/postern/v1/tunnels/\(one)/connector_keys/\(fingerprint(known))/revoke")
        refused(try await enrol(server, first, known), 401, "key_revoked")
        #expect(try await enrol(server, second, known).status == 200, "a revoked key may serve another tunnel")
        _ = try await server.call(.post, "/v1/tunnels/\(one)/rotate_token")
        refused(try await enrol(server, first, key()), 401, "token_rotated")
        _ = try await server.call(.post, "/v1/tunnels/\(one)/archive")
        refused(try await enrol(server, first, key()), 401, "tunnel_archived")
        refused(try await enrol(server, "", key()), 401, "token_unknown")
        refused(try await enrol(server, try await token(try await server.restarted(sealByte: 1), two), key()), 401, "token_unknown")
        // A key in a form that has more than one spelling, or on another curve.
        for der in [P384.Signing.PrivateKey().publicKey.derRepresentation, key().compressedRepresentation, key().derRepresentation + [0], Data()] {
            let body: JSON = ["tunnel_token": .string(second), "connector_key": .string(der.base64EncodedString())]
            #expect(try await server.call(.post, Self.root + "/enrolments", body: body).status == 400)
        }
    }

    /// No token but the one that was made enrols, and none that is forged learns what became of the tunnel.
    @Test func forgedTokensAreUnknown() async throws {
        let server = try await Fixture()
        let (one, two) = (try await server.tunnel(), try await server.tunnel())
        let good = try await token(server, one)
        _ = try await server.call(.post, "/v1/tunnels/\(one)/archive")
        let bytes = try #require(Base64URL.decode(String(good.dropFirst(5))))
        let other = try #require(Base64URL.decode(String(try await token(server, two).dropFirst(5))))
        var forged = bytes.indices.map { place in
            var bytes = bytes
            bytes[place] ^= 1
            return bytes
        }
        // The id of one with the code of the other; parts; more.
        forged += [Array(bytes.dropLast(32) + other.suffix(32)), Array(bytes.dropLast()), bytes + [0], Array(bytes.dropLast(32)), []]
        for bytes in forged {
            let reply = try await enrol(server, "tnlt_" + Base64URL.encode(bytes), key())
            #expect(reply.status == 401 && reply.json["reason"] == "token_unknown", "\(reply.text)")
        }
        for text in [String(good.dropFirst(5)), "TNLT_" + good.dropFirst(5), good + "tnlt_"] {
            #expect(try await enrol(server, text, key()).json["reason"] == "token_unknown")
        }
    }

    @Test func aTunnelHasSixteenKeysAtMost() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        let token = try await token(server, tunnel)
        let keys = (0..<16).map { _ in key() }
        for key in keys { #expect(try await enrol(server, token, key).status == 200) }
        let refused = try await enrol(server, token, key())
        #expect(refused.status == 409 && refused.json["reason"] == "too_many_keys")
        #expect(try await enrol(server, token, keys[3]).status == 200, "one that is enrolled")
        let revoked = try await server.call(.post, "/postern/v1/tunnels/\(tunnel)/connector_keys/\(fingerprint(keys[0]))/revoke")
        #expect(revoked.json["revoked_at"]?.string != nil)
        #expect(try await server.call(.post, "/postern/v1/tunnels/\(tunnel)/connector_keys/\(fingerprint(keys[0]))/revoke").json == revoked.json)
        #expect(try await enrol(server, token, key()).status == 200)
        #expect(try await server.call(.post, "/postern/v1/tunnels/\(tunnel)/connector_keys/none/revoke").status == 404)
    }

    // MARK: Tunnels

    @Test func edgesSeeWhatLivesInEveryWorkspace() async throws {
        let server = try await Fixture()
        let workspace = try await server.call(.post, "/postern/v1/workspaces", body: ["name": "other"]).id
        let stranger = try await server.call(
            .post, "/postern/v1/keys", body: ["name": "k", "role": "admin", "workspace_id": .string(workspace)]
        ).json["secret"]?.string
        let made = [try await server.tunnel(), try await server.tunnel(key: stranger), try await server.tunnel()]
        _ = try await server.call(.post, "/v1/tunnels/\(made[2])/archive")
        _ = try await server.call(.post, "/postern/v1/tunnels/\(made[0])/settings", body: ["splice": true])
        let edge = try await server.apiKey("edge").secret
        let reply = try await server.call(.get, Self.root + "/tunnels", key: edge)
        let tunnels = reply.json["tunnels"]?.array ?? []
        #expect(Set(tunnels.compactMap { $0["id"]?.string }) == Set(made[..<2]))
        for tunnel in tunnels {
            #expect(Set(tunnel.object?.keys ?? []) == ["id", "domain", "workspace_id", "splice", "connector_keys", "registrations"])
            let isFirst = tunnel["id"] == .string(made[0])
            #expect(tunnel["splice"] == .bool(isFirst) && tunnel["workspace_id"] == .string(isFirst ? server.workspaceID : workspace))
        }
        #expect(!reply.text.contains("ttok_") && !reply.text.contains("tnlt_"))
    }

    @Test func aPollWaitsForAChange() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        let revision = try #require(try await live(server)["revision"]?.int)
        // Without the header, or for another revision, the answer is there at once.
        #expect(try await live(server, after: revision)["revision"]?.int == revision)
        #expect(try await server.call(.get, Self.root + "/tunnels?after=\(revision + 5)", headers: [.posternPollSeconds: "60"]).status == 200)
        for change in ["/v1/tunnels/\(tunnel)/rotate_token", "/postern/v1/tunnels/\(tunnel)/settings", "/v1/tunnels/\(tunnel)/archive"] {
            let seen = try #require(try await live(server)["revision"]?.int)
            async let held = server.call(.get, Self.root + "/tunnels?after=\(seen)", headers: [.posternPollSeconds: "60"])
            _ = try await server.call(.post, change, body: change.hasSuffix("settings") ? ["splice": true] : nil)
            #expect(try #require(try await held.json["revision"]?.int) > seen, "\(change)")
        }
        let seen = try #require(try await live(server)["revision"]?.int)
        #expect(try await server.call(.get, Self.root + "/tunnels?after=\(seen)", headers: [.posternPollSeconds: "0"]).status == 200)
        let last = try #require(try await live(server)["revision"]?.int)
        let quiet = try await server.call(.get, Self.root + "/tunnels?after=\(last)", headers: [.posternPollSeconds: "1"])
        #expect(quiet.json["revision"]?.int == last)
        for text in ["-1", "61", "x"] {
            #expect(try await server.call(.get, Self.root + "/tunnels", headers: [.posternPollSeconds: text]).status == 400)
        }
    }

    @Test func aRevokedKeyEndsItsPoll() async throws {
        let server = try await Fixture()
        let edge = try await server.apiKey("edge")
        let revision = try #require(try await live(server)["revision"]?.int)
        async let held = server.call(.get, Self.root + "/tunnels?after=\(revision)", key: edge.secret, headers: [.posternPollSeconds: "60"])
        _ = try await server.call(.delete, "/postern/v1/keys/\(edge.id)")
        #expect(try await held.status == 401)
    }

    // MARK: Keys

    @Test func onlyTheOperatorMakesKeysOfEdges() async throws {
        let server = try await Fixture()
        let workspace = try await server.call(.post, "/postern/v1/workspaces", body: ["name": "other"]).id
        let stranger = try await server.call(
            .post, "/postern/v1/keys", body: ["name": "k", "role": "admin", "workspace_id": .string(workspace)]
        ).json["secret"]?.string
        #expect(try await server.call(.post, "/postern/v1/keys", key: stranger, body: ["name": "e", "role": "edge"]).status == 403)
        let foreign = try await server.call(
            .post, "/postern/v1/keys", body: ["name": "e", "role": "edge", "workspace_id": .string(workspace)])
        #expect(foreign.status == 403)
        // Were there one in another workspace all the same, it would open nothing.
        let (_, secret) = try await server.services.keys.createAPIKey(name: "e", role: .edge, workspaceID: workspace, expiresAt: nil)
        #expect(try await server.call(.get, Self.root + "/tunnels", key: secret).status == 403)
        #expect(try await server.call(.get, Self.root + "/tunnels", key: try await server.apiKey("edge").secret).status == 200)
    }

    /// The key of an edge that the control plane starts itself lives as long as that edge and is written nowhere.
    @Test func aPassingKeyOpensWhatItsRoleDoesUntilItEnds() async throws {
        let server = try await Fixture()
        let (key, secret) = try await server.services.keys.makePassingKey(name: "beside", role: .edge)
        #expect(try await server.call(.get, Self.root + "/tunnels", key: secret).status == 200)
        #expect(try await server.call(.get, "/v1/tunnels", key: secret).status == 403)
        #expect(try await server.services.keys.isValid(key.id))
        #expect(try await server.call(.get, "/postern/v1/keys").text.contains(key.id) == false)
        #expect(try await server.call(.get, "/postern/v1/keys/\(key.id)").status == 404)
        #expect(try await server.restarted().call(.get, Self.root + "/tunnels", key: secret).status == 401)
        let seen = try #require(try await live(server)["revision"]?.int)
        async let held = server.call(.get, Self.root + "/tunnels?after=\(seen)", key: secret, headers: [.posternPollSeconds: "60"])
        await server.services.keys.endPassingKey(key)
        #expect(try await held.status == 401)
        #expect(try await server.call(.get, Self.root + "/tunnels", key: secret).status == 401)
    }

    // MARK: Authorisation

    @Test func aCredentialOpensItsWorkspacesTunnelsAndEveryRefusalIsAlike() async throws {
        let server = try await Fixture()
        let leased = try await server.leasedSession()
        let tunnel = try await server.tunnel()
        let workspace = try await server.call(.post, "/postern/v1/workspaces", body: ["name": "other"]).id
        let stranger = try await server.call(
            .post, "/postern/v1/keys", body: ["name": "k", "role": "admin", "workspace_id": .string(workspace)]
        ).json["secret"]?.string
        let revoked = try await server.apiKey("developer")
        _ = try await server.call(.delete, "/postern/v1/keys/\(revoked.id)")
        let developer = try await server.apiKey("developer")
        func ask(_ credential: String, _ tunnel: String) async throws -> Fixture.Reply {
            try await server.call(
                .post, Self.root + "/authorizations", body: ["credential": .string(credential), "tunnel_id": .string(tunnel)])
        }
        let granted = try await ask(developer.secret, tunnel)
        #expect(granted.status == 200)
        #expect(granted.json == ["workspace_id": .string(server.workspaceID), "principal": .string(developer.id)])
        var refusals: Set<String> = []
        let archived = try await server.tunnel()
        _ = try await server.call(.post, "/v1/tunnels/\(archived)/archive")
        for (credential, tunnel) in [
            (stranger ?? "", tunnel), (revoked.secret, tunnel), ("sk-postern-api-nonsense", tunnel), ("", tunnel), (leased.key, tunnel),
            (try await server.apiKey("viewer").secret, tunnel), (try await server.apiKey("edge").secret, tunnel),
            (developer.secret, "tnl_none"), (developer.secret, archived),
        ] {
            let reply = try await ask(credential, tunnel)
            #expect(reply.status == 403, "\(reply.text)")
            refusals.insert(reply.message ?? "")
        }
        #expect(refusals.count == 1)
    }

    /// A sessions token opens its workspace's tunnels for as long as it opens anything.
    @Test func aSessionsTokenOpensItsWorkspacesTunnels() async throws {
        let server = try await Fixture()
        let leased = try await server.leasedSession()
        let tunnel = try await server.tunnel()
        let workspace = try await server.call(.post, "/postern/v1/workspaces", body: ["name": "other"]).id
        let stranger = try await server.call(
            .post, "/postern/v1/keys", body: ["name": "k", "role": "admin", "workspace_id": .string(workspace)]
        ).json["secret"]?.string
        let foreign = try await server.tunnel(key: stranger)
        func ask(_ tunnel: String, _ token: String = leased.token) async throws -> Fixture.Reply {
            try await server.call(
                .post, Self.root + "/authorizations", body: ["credential": .string(token), "tunnel_id": .string(tunnel)])
        }
        let granted = try await ask(tunnel)
        #expect(granted.status == 200 && granted.json["workspace_id"] == .string(server.workspaceID), "\(granted.text)")
        let principal = try #require(granted.json["principal"]?.string)
        #expect(principal.hasPrefix(leased.session + "."))
        #expect(try await ask(foreign).status == 403)
        #expect(try await ask(tunnel, leased.token + "x").status == 403)
        #expect(try await ended(server, [principal]) == [])
        // Another token of the same session is another principal.
        #expect(try await ended(server, [leased.session + ".0000000000000000"]).count == 1)
        _ = try await server.call(.delete, "/postern/v1/environments/\(leased.environment)/keys/\(leased.keyID)")
        #expect(try await ask(tunnel).status == 403)
        #expect(try await ended(server, [principal]) == [principal])
    }

    private func ended(_ server: Fixture, _ ids: [String]) async throws -> [String] {
        let reply = try await server.call(.post, Self.root + "/principals", body: ["principals": .array(ids.map(JSON.string))])
        #expect(reply.status == 200, "\(reply.text)")
        return reply.json["ended"]?.array?.compactMap(\.string) ?? []
    }

    @Test func edgesHearWhoseKeysHaveEnded() async throws {
        let server = try await Fixture()
        let (one, two) = (try await server.apiKey("developer"), try await server.apiKey("developer"))
        #expect(try await ended(server, [one.id, two.id, "laptop"]) == [])
        _ = try await server.call(.delete, "/postern/v1/keys/\(one.id)")
        #expect(try await ended(server, [one.id, two.id, "laptop"]) == [one.id])
        #expect(try await ended(server, [ResourceID.make(.apiKey)]).count == 1)
        for body: JSON in [[:], ["principals": "x"], ["principals": [""]], ["principals": .array(Array(repeating: "k", count: 1001))]] {
            #expect(try await server.call(.post, Self.root + "/principals", body: body).status == 400)
        }
    }

    @Test func edgesHearWhichSessionsHaveEnded() async throws {
        let server = try await Fixture()
        let (agent, environment) = (try await server.agent(), try await server.environment())
        let (archived, deleted, live) = (
            try await server.session(agent, environment), try await server.session(agent, environment), try await server.session(agent, environment)
        )
        let all = [archived, deleted, live]
        #expect(try await ended(server, all) == [])
        #expect(try await server.call(.post, "/v1/sessions/\(archived)/archive").status == 200)
        #expect(try await ended(server, all) == [archived])
        #expect(try await server.call(.delete, "/v1/sessions/\(deleted)").status == 200)
        #expect(try await ended(server, all) == [archived, deleted])
    }

    /// Connectors ask for their log when edges tell them that it has grown.
    @Test func edgesHearAtOnceOfARegistration() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        let certificate = try await server.call(
            .post, "/v1/tunnels/\(tunnel)/certificates", body: ["ca_certificate_pem": .string(try TunnelTests.authority())]
        ).id
        let before = try await live(server)
        #expect(before["tunnels"]?.array?.first?["registrations"] == 2)
        let seen = try #require(before["revision"]?.int)
        async let held = server.call(.get, Self.root + "/tunnels?after=\(seen)", headers: [.posternPollSeconds: "60"])
        #expect(try await server.call(.post, "/v1/tunnels/\(tunnel)/certificates/\(certificate)/archive").status == 200)
        #expect(try await held.json["tunnels"]?.array?.first?["registrations"] == 3)
    }

    @Test func edgesLearnTheAuthoritiesThatSignRuntimeCertificates() async throws {
        let server = try await Fixture()
        _ = try await server.tunnel()
        let before = try await live(server)
        #expect(before["runtime_authorities"] == [])
        let seen = try #require(before["revision"]?.int)
        async let held = server.call(.get, Self.root + "/tunnels?after=\(seen)", headers: [.posternPollSeconds: "60"])
        let pem = try await server.call(.get, "/postern/v1/runtime_authority").json["certificate_pem"]
        #expect(try await held.json["runtime_authorities"] == [["workspace_id": .string(server.workspaceID), "certificate_pem": pem ?? .null]])
    }

    // MARK: Connectors

    @Test func legsAreShownAsTheEdgeReportsThem() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        let edge = try await server.apiKey("edge").secret
        let fingerprint = String(repeating: "a", count: 64)
        let leg: JSON = [
            "connector_key": .string(fingerprint), "version": "1.0", "since": "2026-11-27T10:00:00Z", "streams": 2, "bytes_in": 3, "bytes_out": 4,
        ]
        func report(_ legs: JSON) async throws -> Fixture.Reply {
            let body: JSON = ["edge": "edge-1", "tunnels": [["tunnel_id": .string(tunnel), "legs": legs]]]
            return try await server.call(.put, Self.root + "/connectors", key: edge, body: body)
        }
        let reply = try await report([leg])
        #expect(reply.status == 204 && reply.text.isEmpty)
        let shown = try await server.call(.get, "/postern/v1/tunnels/\(tunnel)/connectors").json["data"]?.array?.first
        #expect(shown?["edge"] == "edge-1" && shown?["connector_key"] == .string(fingerprint) && shown?["streams"] == 2)
        #expect(shown?["since"] == "2026-11-27T10:00:00.000000Z" && shown?["bytes_in"] == 3 && shown?["bytes_out"] == 4)
        // An older edge, or connector, says nothing of the certificate.
        #expect(shown?["certificate_expires_at"] == .null && shown?["certificate_days_left"] == .null)
        for (days, left) in [(12.5, 12), (0.5, 0), (-3, 0)] as [(Double, Int)] {
            var told = leg.object ?? [:]
            let expires = Timestamp(microseconds: Timestamp.now().microseconds + Int64(days * 86_400_000_000)).description
            told["certificate_expires_at"] = .string(expires)
            #expect(try await report([.object(told)]).status == 204)
            let shown = try await server.call(.get, "/postern/v1/tunnels/\(tunnel)/connectors").json["data"]?.array?.first
            #expect(shown?["certificate_expires_at"] == .string(expires) && shown?["certificate_days_left"] == JSON(left), "\(days)")
        }
        #expect(try await report([]).status == 204)
        #expect(try await server.call(.get, "/postern/v1/tunnels/\(tunnel)/connectors").json["data"] == [])
        for (key, value): (String, JSON) in [
            ("connector_key", "short"), ("version", .string(String(repeating: "v", count: 65))), ("since", "yesterday"), ("streams", -1),
            ("bytes_in", "3"), ("bytes_out", .null), ("certificate_expires_at", "soon"), ("certificate_expires_at", 5),
        ] {
            var broken = leg.object ?? [:]
            broken[key] = value
            let reply = try await report([.object(broken)])
            #expect(reply.status == 400 && reply.message?.contains("tunnels.0.legs.0.\(key)") == true, "\(reply.text)")
        }
        #expect(try await report(.array(Array(repeating: leg, count: 65))).status == 400)
    }
}
