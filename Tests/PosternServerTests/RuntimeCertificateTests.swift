import Crypto
import Foundation
import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternTestKit
import PosternTunnelWire
import SwiftASN1
import Testing
import X509

@testable import PosternServer

/// Client certificates for runtimes, and the authority behind them.
@Suite struct RuntimeCertificateTests {
    private func request(_ key: Certificate.PrivateKey = .init(P256.Signing.PrivateKey()), _ name: String = "anybody") throws -> String {
        try CertificateSigningRequest(
            version: .v1, subject: try DistinguishedName { CommonName(name) }, privateKey: key, attributes: .init(),
            signatureAlgorithm: .ecdsaWithSHA256
        ).serializeAsPEM().pemString
    }

    private func authority(_ server: Fixture, key: String? = nil) async throws -> Certificate {
        let reply = try await server.call(.get, "/postern/v1/runtime_authority", key: key)
        return try Certificate(pemEncoded: reply.json["certificate_pem"]?.string ?? "")
    }

    @Test func aCertificateNamesTunnelWorkspacePersonClientAndRoutes() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        let pem = try TunnelTests.authority()
        _ = try await server.call(.post, "/v1/tunnels/\(tunnel)/certificates", body: ["ca_certificate_pem": .string(pem)])
        let developer = try await server.apiKey("developer")
        let key = P256.Signing.PrivateKey()
        let reply = try await server.call(
            .post, "/postern/v1/tunnels/\(tunnel)/client_certificates", key: developer.secret,
            body: ["csr_pem": .string(try request(.init(key), "root")), "client": "curl", "routes": ["docs", "db"], "ttl_seconds": 600])
        #expect(reply.status == 200, "\(reply.text)")
        let leaf = try Certificate(pemEncoded: reply.json["certificate_pem"]?.string ?? "")
        let identity = try RuntimeCertificate.verify(
            leaf, authority: try await authority(server), now: Date(), tunnelID: tunnel, workspaceID: server.workspaceID)
        #expect(
            identity
                == RuntimeIdentity(
                    tunnelID: tunnel, workspaceID: server.workspaceID, person: developer.id, client: "curl", routes: ["docs", "db"]))
        #expect(leaf.publicKey == .init(key.publicKey) && !leaf.subject.description.contains("root"), "more than the request's key is taken")
        #expect(abs(leaf.notValidAfter.timeIntervalSinceNow - 600) < 30)
        #expect(reply.json["expires_at"]?.string?.hasPrefix("20") == true && reply.json["ca_certificates_pem"] == [.string(pem)])
        #expect(reply.json["domain"]?.string?.hasSuffix(".tunnel.example.com") == true)
    }

    @Test func eachTunnelHasAKeyForTheIdsOfItsRoutes() async throws {
        let server = try await Fixture()
        let (tunnel, other) = (try await server.tunnel(), try await server.tunnel())
        func key(_ id: String) async throws -> String {
            try await server.call(.get, "/postern/v1/tunnels/\(id)/route_key").json["route_key"]?.string ?? ""
        }
        let first = try await key(tunnel)
        #expect(RouteKey(first) != nil)
        #expect(try await key(tunnel) == first)
        #expect(try await key(other) != first)
        #expect(try await server.call(.get, "/postern/v1/tunnels/tnl_unknown/route_key").status == 404)
    }

    @Test func whatIsNotARequestIsRefused() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        let good = try request()
        let path = "/postern/v1/tunnels/\(tunnel)/client_certificates"
        let weak = try request(.init(P384.Signing.PrivateKey()))
        for (body, words): (JSON, String) in [
            (["client": "c"], "csr_pem"), (["csr_pem": .string(good)], "client"), (["csr_pem": "x", "client": "c"], "csr_pem"),
            (["csr_pem": .string(weak), "client": "c"], "P-256"), (["csr_pem": .string(good), "client": ""], "client"),
            (["csr_pem": .string(good), "client": .string(String(repeating: "c", count: 256))], "client"),
            (["csr_pem": .string(good), "client": "c", "routes": "docs"], "routes"),
            (["csr_pem": .string(good), "client": "c", "routes": ["a", "a"]], "routes.1"),
            (["csr_pem": .string(good), "client": "c", "routes": [""]], "routes.0"),
            (["csr_pem": .string(good), "client": "c", "routes": .array((0...64).map { .string("\($0)") })], "routes"),
            (["csr_pem": .string(good), "client": "c", "ttl_seconds": 59], "ttl_seconds"),
            (["csr_pem": .string(good), "client": "c", "ttl_seconds": 86_401], "ttl_seconds"),
            (["csr_pem": .string(good), "client": "c", "session": "s"], "session"),
        ] {
            let reply = try await server.call(.post, path, body: body)
            #expect(reply.status == 400 && reply.message?.contains(words) == true, "\(words): \(reply.text)")
        }
        #expect(try await server.call(.post, path, body: ["csr_pem": .string(good), "client": "c", "ttl_seconds": 86_400]).status == 200)
        _ = try await server.call(.post, "/v1/tunnels/\(tunnel)/archive")
        #expect(try await server.call(.post, path, body: ["csr_pem": .string(good), "client": "c"]).status == 400)
    }

    @Test func eachWorkspaceHasOneAuthorityOfItsOwn() async throws {
        let server = try await Fixture()
        let first = try await authority(server)
        #expect(try await authority(server) == first)
        #expect(try await authority(try await server.restarted()) == first)
        let workspace = try await server.call(.post, "/postern/v1/workspaces", body: ["name": "other"]).id
        let stranger = try await server.call(
            .post, "/postern/v1/keys", body: ["name": "k", "role": "admin", "workspace_id": .string(workspace)]
        ).json["secret"]?.string
        let second = try await authority(server, key: stranger)
        #expect(second != first && second.publicKey != first.publicKey)
    }

    @Test func manyFirstRequestsMakeOneAuthority() async throws {
        let server = try await Fixture()
        let found = try await withThrowingTaskGroup(of: Certificate.self) { group in
            for _ in 0..<20 { group.addTask { try await authority(server) } }
            return try await group.reduce(into: Set<Certificate>()) { $0.insert($1) }
        }
        #expect(found.count == 1)
    }

    @Test func theAuthoritysKeyIsSealed() async throws {
        let server = try await Fixture()
        let tunnel = try await server.tunnel()
        _ = try await authority(server)
        let record = try #require(try await server.store.runtimeAuthority(workspaceID: server.workspaceID))
        // A raw P-256 key is no shorter than the sealed text is long but for nonce and tag.
        #expect(record.sealedKey.count == 32 + 12 + 16)
        #expect(
            (try? P256.Signing.PrivateKey(rawRepresentation: record.sealedKey.dropFirst(12).prefix(32))).map {
                Certificate.PublicKey($0.publicKey) != (try? Certificate(pemEncoded: record.certificatePEM))?.publicKey
            } ?? true)
        let wrong = try await server.restarted(sealByte: 9)
        let reply = try await wrong.call(
            .post, "/postern/v1/tunnels/\(tunnel)/client_certificates", body: ["csr_pem": .string(try request()), "client": "c"])
        #expect(reply.status == 500 && reply.message?.contains("seal.key") == true)
        // Another workspace's sealed key in this one's row does not open.
        let credentials = SealedTunnelCredentials(key: try #require(SealKey([UInt8](repeating: 7, count: 32))))
        var moved = record
        moved.workspaceID = "wrkspc_other"
        let client = RuntimeClient(tunnelID: tunnel, workspaceID: "wrkspc_other", person: "p", client: "c", routes: [])
        #expect(throws: (any Error).self) {
            try credentials.issue(client, request: try request(), by: moved, from: .now(), until: .now().advanced(by: .seconds(60)))
        }
    }

    @Test func aSealKeyPrintsNothing() throws {
        let key = try #require(SealKey([UInt8](repeating: 65, count: 32)))
        for text in ["\(key)", String(reflecting: key)] { #expect(!text.contains("65") && !text.contains("AAAA") && text.utf8.count < 40) }
        #expect(SealKey([1, 2, 3]) == nil && SealKey([UInt8](repeating: 1, count: 33)) == nil)
        #expect(SealKey.makeBytes().count == SealKey.size && SealKey.makeBytes() != SealKey.makeBytes())
    }
}
