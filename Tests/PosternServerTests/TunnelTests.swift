import Crypto
import Foundation
import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternTestKit
import PosternTunnelWire
import Testing
import X509

@testable import PosternServer

@Suite struct TunnelTests {
    /// The PEM of an authority that keeps the rules.
    static func authority() throws -> String {
        try RuntimeAuthority.make(workspaceID: "w", notBefore: Date() - 60, notAfter: Date() + 86_400).certificatePEM
    }

    private func certify(_ server: Fixture, _ tunnel: String, _ pem: String) async throws -> Fixture.Reply {
        try await server.call(.post, "/v1/tunnels/\(tunnel)/certificates", body: ["ca_certificate_pem": .string(pem)])
    }

    // MARK: Tunnels

    @Test func aTunnelIsMadeReadAndArchivedForGood() async throws {
        let server = try await Fixture()
        let made = try await server.call(.post, "/v1/tunnels", body: ["display_name": "docs"])
        #expect(made.status == 200 && made.json["type"] == "tunnel" && made.json["display_name"] == "docs" && made.json["archived_at"] == .null)
        #expect(ResourceID.isWellFormed(made.id, .tunnel))
        let domain = try #require(made.json["domain"]?.string)
        #expect(domain.wholeMatch(of: /[a-z0-9]{8}\.tunnel\.example\.com/) != nil)
        #expect(Set(made.json.object?.keys ?? []) == ["id", "type", "display_name", "domain", "created_at", "archived_at"])
        #expect(try await server.call(.get, "/v1/tunnels/\(made.id)").json == made.json)
        #expect(try await server.call(.post, "/v1/tunnels", body: nil).json["display_name"] == .null, "without a body")

        _ = try await certify(server, made.id, try Self.authority())
        let archived = try await server.call(.post, "/v1/tunnels/\(made.id)/archive")
        #expect(archived.status == 200 && archived.json["archived_at"]?.string != nil && archived.json["domain"] == made.json["domain"])
        #expect(try await server.call(.post, "/v1/tunnels/\(made.id)/archive").json == archived.json)
        let certificates = try await server.call(.get, "/v1/tunnels/\(made.id)/certificates?include_archived=true").json["data"]?.array
        #expect(certificates?.count == 1 && certificates?.first?["archived_at"] == archived.json["archived_at"])
        for (path, body) in [
            ("/v1/tunnels/\(made.id)/reveal_token", nil), ("/v1/tunnels/\(made.id)/rotate_token", [:]),
            ("/postern/v1/tunnels/\(made.id)/settings", ["splice": true]),
            ("/postern/v1/tunnels/\(made.id)/settings", ["hide_routes": true]),
            ("/v1/tunnels/\(made.id)/certificates", ["ca_certificate_pem": .string(try Self.authority())]),
        ] as [(String, JSON?)] {
            let refused = try await server.call(.post, path, body: body)
            #expect(refused.status == 400 && refused.json["error"]?["details"]?["error_code"] == "tunnel_archived", "\(path)")
        }
    }

    @Test func tunnelsListNewestFirstInPages() async throws {
        let server = try await Fixture()
        var made: [String] = []
        for _ in 0..<22 { made.append(try await server.tunnel()) }
        let first = try await server.call(.get, "/v1/tunnels")
        #expect(first.json["data"]?.array?.compactMap { $0["id"]?.string } == Array(made.reversed().prefix(20)))
        let next = try #require(first.json["next_page"]?.string)
        let second = try await server.call(.get, "/v1/tunnels?page=\(next)")
        #expect(second.json["data"]?.array?.compactMap { $0["id"]?.string } == Array(made.reversed().suffix(2)) && second.json["next_page"] == .null)
        #expect(try await server.call(.get, "/v1/tunnels?limit=1000").json["data"]?.array?.count == 22)
        #expect(try await server.call(.get, "/v1/tunnels?limit=1001").status == 400)
        #expect(try await server.call(.get, "/v1/tunnels?limit=0").status == 400)
        #expect(try await server.call(.get, "/v1/tunnels/\(made[0])/certificates?page=\(next)").status == 400, "another list's cursor")
        _ = try await server.call(.post, "/v1/tunnels/\(made[21])/archive")
        #expect(try await server.call(.get, "/v1/tunnels?limit=1").json["data"]?.array?.first?["id"] == .string(made[20]))
        #expect(try await server.call(.get, "/v1/tunnels?limit=1&include_archived=true").json["data"]?.array?.first?["id"] == .string(made[21]))
    }

    @Test func whatIsNotATunnelIsRefused() async throws {
        let server = try await Fixture()
        for body: JSON in [
            ["display_name": ""], ["display_name": 7], ["colour": "red"], [], ["display_name": .string(String(repeating: "x", count: 256))],
        ] {
            #expect(try await server.call(.post, "/v1/tunnels", body: body).status == 400, "\(body.text)")
        }
        #expect(try await server.call(.post, "/v1/tunnels", body: ["display_name": .string(String(repeating: "é", count: 255))]).status == 200)
        #expect(try await server.call(.get, "/v1/tunnels/tnl_none").message == "Tunnel tnl_none not found.")
        let bare = try await Fixture(tunnelDomain: nil)
        let refused = try await bare.call(.post, "/v1/tunnels", body: [:])
        #expect(refused.status == 400 && refused.message?.contains("--tunnel-domain") == true)
        #expect(try await bare.call(.get, "/v1/tunnels").status == 200)
    }

    @Test func settings() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        let path = "/postern/v1/tunnels/\(tunnel)/settings"
        let expected: JSON = [
            "type": "tunnel_settings", "tunnel_id": .string(tunnel), "splice": false, "hide_routes": false, "registration": "signed",
            "registration_pending": .null, "owner_key": .null, "owner_key_pending": .null,
        ]
        #expect(try await server.call(.get, path).json == expected)
        #expect(try await server.call(.post, path, body: ["splice": true]).json["splice"] == true)
        #expect(try await server.call(.get, path).json["splice"] == true)
        #expect(try await server.call(.post, path, body: ["hide_routes": true]).json["hide_routes"] == true)
        let both = try await server.call(.post, path, body: ["splice": false]).json
        #expect(both["hide_routes"] == true && both["splice"] == false)
        let hidden = try await server.call(.post, "/v1/tunnels", body: ["hide_routes": true]).id
        #expect(try await server.call(.get, "/postern/v1/tunnels/\(hidden)/settings").json["hide_routes"] == true)
        for body: JSON in [[:], ["splice": 1], ["splice": .null], ["splice": true, "more": 1], ["hide_routes": "yes"], ["hide_routes": .null]] {
            #expect(try await server.call(.post, path, body: body).status == 400, "\(body.text)")
        }
    }

    @Test func anotherWorkspaceSeesNothing() async throws {
        let server = try await Fixture()
        let workspace = try await server.call(.post, "/postern/v1/workspaces", body: ["name": "other"]).id
        let stranger = try await server.call(
            .post, "/postern/v1/keys", body: ["name": "k", "role": "admin", "workspace_id": .string(workspace)]
        ).json["secret"]?.string
        let tunnel = try await server.tunnel()
        let certificate = try await certify(server, tunnel, try Self.authority()).id
        let (root, own) = ("/v1/tunnels/\(tunnel)", "/postern/v1/tunnels/\(tunnel)")
        let body: JSON = [
            "splice": true, "ca_certificate_pem": .string(try Self.authority()), "csr_pem": "x", "client": "x", "reason": "x",
        ]
        for path in [
            root, root + "/certificates", root + "/certificates/\(certificate)", own + "/settings", own + "/connectors", own + "/connector_keys",
        ] {
            let reply = try await server.call(.get, path, key: stranger)
            #expect(reply.status == 404 && reply.type == "not_found_error", "\(path)")
        }
        for (path, keys) in [
            (root + "/archive", []), (root + "/reveal_token", []), (root + "/rotate_token", ["reason"]),
            (root + "/certificates", ["ca_certificate_pem"]), (root + "/certificates/\(certificate)/archive", []), (own + "/settings", ["splice"]),
            (own + "/connector_keys/f/revoke", []), (own + "/client_certificates", ["csr_pem", "client"]),
        ] {
            let sent = JSON.object(JSONObject(keys.map { ($0, body[$0] ?? .null) }))
            let reply = try await server.call(.post, path, key: stranger, body: sent)
            #expect(reply.status == 404 && reply.message == "Tunnel \(tunnel) not found.", "\(path) \(reply.text)")
        }
        #expect(try await server.call(.get, "/v1/tunnels?include_archived=true", key: stranger).json["data"] == [])
        // A certificate under another tunnel's path.
        let other = try await server.tunnel()
        #expect(try await server.call(.get, "/v1/tunnels/\(other)/certificates/\(certificate)").status == 404)
        #expect(try await server.call(.post, "/v1/tunnels/\(other)/certificates/\(certificate)/archive").status == 404)
        #expect(try await server.call(.get, root).json["archived_at"] == .null)
    }

    // MARK: Tokens

    @Test func tokensAreTheSameUntilTheyAreRotated() async throws {
        let server = try await Fixture()
        let (one, two) = (try await server.tunnel(), try await server.tunnel())
        func reveal(_ id: String, _ from: Fixture) async throws -> Fixture.Reply { try await from.call(.post, "/v1/tunnels/\(id)/reveal_token") }
        let first = try await reveal(one, server)
        let token = try #require(first.json["tunnel_token"]?.string)
        #expect(first.json["type"] == "tunnel_token" && token.hasPrefix("tnlt_") && ResourceID.isWellFormed(first.id, .tunnelToken))
        #expect(try await reveal(one, server).json == first.json)
        #expect(try await reveal(one, try await server.restarted()).json == first.json, "after a restart")
        #expect(try await reveal(one, try await server.restarted(sealByte: 8)).json != first.json, "it comes from the seal key")
        #expect(try await reveal(two, server).json["tunnel_token"] != first.json["tunnel_token"])
        let rotated = try await server.call(.post, "/v1/tunnels/\(one)/rotate_token", body: ["reason": "leaked"])
        #expect(rotated.status == 200 && rotated.id != first.id && rotated.json["tunnel_token"] != first.json["tunnel_token"])
        #expect(try await reveal(one, server).json == rotated.json)
        #expect(try await server.store.tunnelToken(first.id)?.reason == "leaked")
        #expect(try await server.call(.post, "/v1/tunnels/\(one)/rotate_token").status == 200, "without a body")
        for body: JSON in [["reason": ""], ["reason": 1], ["why": "x"], ["reason": .string(String(repeating: "x", count: 1025))]] {
            #expect(try await server.call(.post, "/v1/tunnels/\(one)/rotate_token", body: body).status == 400)
        }
    }

    // MARK: Certificates

    @Test func certificatesComeAndGo() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        let path = "/v1/tunnels/\(tunnel)/certificates"
        let (first, second, third) = (try Self.authority(), try Self.authority(), try Self.authority())
        let made = try await certify(server, tunnel, first)
        #expect(made.status == 200 && made.json["type"] == "tunnel_certificate" && made.json["tunnel_id"] == .string(tunnel))
        #expect(
            Set(made.json.object?.keys ?? []) == ["id", "type", "tunnel_id", "fingerprint", "created_at", "expires_at", "archived_at"])
        let expected = try AuthorityRules.check(pem: first, now: Date())
        #expect(made.json["fingerprint"] == .string(expected.fingerprint))
        #expect(made.json["expires_at"]?.string.flatMap { Timestamp($0) } != nil && ResourceID.isWellFormed(made.id, .tunnelCertificate))
        #expect(try await server.call(.get, "\(path)/\(made.id)").json == made.json)
        #expect(try await certify(server, tunnel, first).status == 409)
        #expect(try await certify(server, tunnel, second).status == 200)
        let refused = try await certify(server, tunnel, third)
        #expect(refused.status == 400 && refused.json["error"]?["details"]?["error_code"] == "tunnel_certificate_limit_reached")
        let archived = try await server.call(.post, "\(path)/\(made.id)/archive")
        #expect(archived.json["archived_at"]?.string != nil)
        #expect(try await server.call(.post, "\(path)/\(made.id)/archive").json == archived.json)
        #expect(try await certify(server, tunnel, third).status == 200)
        #expect(try await server.call(.get, path).json["data"]?.array?.count == 2)
        #expect(try await server.call(.get, path + "?include_archived=true&limit=1").json["next_page"]?.string != nil)
        #expect(try await server.call(.get, path + "?include_archived=true").json["data"]?.array?.count == 3)
        #expect(try await server.call(.get, "\(path)/tcrt_none").status == 404)
    }

    @Test func aCertificateThatBreaksARuleIsRefusedWithTheRule() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        let key = P256.Signing.PrivateKey()
        for (pem, words) in [
            (try Self.authority() + "\n" + key.pemRepresentation, "private key never leaves"), ("", "holds no certificate"),
            (try Self.authority() + "\n" + Self.authority(), "holds 2 certificates"), (String(repeating: "x", count: 8193), "more than 8192 bytes"),
        ] {
            let reply = try await certify(server, tunnel, pem)
            #expect(reply.status == 400 && reply.message?.hasPrefix("ca_certificate_pem: ") == true && reply.message?.contains(words) == true)
            #expect(reply.json["error"]?["details"]?["error_code"] == "invalid_ca_certificate")
            #expect(!reply.text.contains(key.pemRepresentation.split(separator: "\n")[1]), "the key comes back")
        }
        #expect(try await server.call(.post, "/v1/tunnels/\(tunnel)/certificates", body: [:]).message == "ca_certificate_pem: Field required")
        #expect(try await server.call(.get, "/v1/tunnels/\(tunnel)/certificates").json["data"] == [])
    }
}
