import Crypto
import Foundation
import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternTestKit
import PosternTunnelWire
import Synchronization
import SwiftASN1
import Testing
import X509

@testable import PosternServer

/// Who decides that an authority counts, with a clock that the test turns.
@Suite struct RegistrationTests {
    private static let start = Timestamp(microseconds: Int64(Date().timeIntervalSince1970) * 1_000_000)

    private final class Clock: Sendable {
        private let offset = Mutex(0)
        var now: Timestamp { RegistrationTests.start.advanced(by: .seconds(offset.withLock { $0 })) }
        var seconds: Int { Int(now.microseconds / 1_000_000) }
        func pass(_ seconds: Int) { offset.withLock { $0 += seconds } }
    }

    private struct World {
        let clock = Clock()
        let server: Fixture
        let tunnel: String
        let client = RuntimeRequestForTests()
        var own: String { "/postern/v1/tunnels/\(tunnel)" }

        init(_ body: JSON = [:]) async throws {
            let clock = clock
            server = try await Fixture(now: .init { clock.now })
            tunnel = try await server.call(.post, "/v1/tunnels", body: body).id
        }

        func certify(_ authority: Authority, _ statement: RegistrationStatement? = nil) async throws -> Fixture.Reply {
            var body: JSONObject = ["ca_certificate_pem": .string(authority.pem)]
            if let statement { body["statement"] = statement.json }
            return try await server.call(.post, "/v1/tunnels/\(tunnel)/certificates", body: .object(body))
        }

        /// What callers are told to believe now.
        func believed() async throws -> [String] {
            let body: JSON = ["csr_pem": .string(try client.pem()), "client": "c"]
            let reply = try await server.call(.post, "\(own)/client_certificates", body: body)
            #expect(reply.status == 200, "\(reply.text)")
            return reply.json["ca_certificates_pem"]?.array?.compactMap(\.string) ?? []
        }

        func statement(
            _ key: Certificate.PrivateKey, _ subject: String, _ purpose: RegistrationStatement.Purpose = .certificate
        ) throws -> RegistrationStatement {
            try .sign(tunnelID: tunnel, purpose: purpose, subject: subject, time: clock.seconds, with: key)
        }

        func log() async throws -> RegistrationAnswer {
            let answer = try RegistrationAnswer(json: try await server.call(.get, "\(own)/registrations/head").json)
            try answer.head.verify(tunnelID: tunnel, by: try P256.Signing.PublicKey(derRepresentation: answer.logKey))
            #expect(MerkleTree.root(answer.entries.map { MerkleTree.leaf($0) }) == answer.head.root)
            _ = try RegistrationLedger(tunnelID: tunnel, answer.entries)
            return answer
        }

        func types() async throws -> [String] { try await log().entries.map { try RegistrationEntry($0).kind.name } }
    }

    /// A certificate signing request of a client.
    private struct RuntimeRequestForTests {
        func pem() throws -> String { try RuntimeRequest().pem }
    }

    private struct Authority {
        let pem: String
        let key: Certificate.PrivateKey
        let fingerprint: String

        init() throws {
            let made = try RuntimeAuthority.make(workspaceID: "w", notBefore: Date() - 60, notAfter: Date() + 30 * 86_400)
            (pem, key) = (try made.certificatePEM, .init(made.key))
            fingerprint = Hexadecimal.text(SHA256.hash(data: try made.certificate.serializeAsPEM().derBytes))
        }
    }

    private func code(_ reply: Fixture.Reply) -> String? { reply.json["error"]?["details"]?["error_code"]?.string }

    // MARK: Waiting

    @Test func anAdminsKeyAloneAddsNoAuthorityThatCallersBelieveBeforeADayIsOver() async throws {
        let world = try await World()
        let (owner, attacker) = (try Authority(), try Authority())
        #expect(try await world.certify(owner).status == 200)
        #expect(try await world.believed() == [owner.pem])
        // Lists have the newest first, and of one instant nobody knows which that is.
        world.clock.pass(1)
        // The public answer is the contract's, and the certificate waits.
        let added = try await world.certify(attacker)
        #expect(added.status == 200)
        #expect(Set(added.json.object?.keys ?? []) == ["id", "type", "tunnel_id", "fingerprint", "created_at", "expires_at", "archived_at"])
        #expect(try await world.believed() == [owner.pem])
        let listed = try await world.server.call(.get, "\(world.own)/certificates").json["data"]?.array
        #expect(listed?.map { $0["counts"] } == [false, true])
        let from = listed?.first?["counts_at"]?.string.flatMap { Timestamp($0) }
        #expect(from == world.clock.now.advanced(by: .seconds(86_400)))
        // Taking the owner's away, and adding one's own again, is no way around it.
        let first = try await world.server.call(.get, "/v1/tunnels/\(world.tunnel)/certificates").json["data"]?.array?.last?["id"]?.string ?? ""
        world.clock.pass(86_399)
        #expect(try await world.believed() == [owner.pem])
        #expect(try await world.server.call(.post, "/v1/tunnels/\(world.tunnel)/certificates/\(first)/archive").status == 200)
        #expect(try await world.believed() == [])
        #expect(try await world.server.call(.post, "/v1/tunnels/\(world.tunnel)/certificates/\(added.id)/archive").status == 200)
        #expect(try await world.certify(attacker).status == 200)
        #expect(try await world.believed() == [])
        world.clock.pass(86_400)
        #expect(try await world.believed() == [attacker.pem])
        #expect(
            try await world.types() == [
                "tunnel", "certificate_added", "certificate_added", "certificate_archived", "certificate_archived", "certificate_added",
            ])
    }

    @Test func aStatementLetsAnAuthorityCountAtOnce() async throws {
        let world = try await World()
        let (first, second, third) = (try Authority(), try Authority(), try Authority())
        _ = try await world.certify(first)
        let statement = try world.statement(first.key, second.fingerprint)
        let made = try await world.certify(second, statement)
        #expect(made.status == 200)
        #expect(Set(try await world.believed()) == [first.pem, second.pem])
        // Used once; for this one only; by one that counts only.
        _ = try await world.server.call(.post, "/v1/tunnels/\(world.tunnel)/certificates/\(made.id)/archive")
        for (authority, wrong) in [
            (second, statement), (third, try world.statement(first.key, second.fingerprint)),
            (third, try world.statement(second.key, third.fingerprint)),
            (third, try world.statement(third.key, third.fingerprint)), (third, try world.statement(first.key, third.fingerprint, .ownerKey)),
            (third, try .sign(tunnelID: "tnl_other", purpose: .certificate, subject: third.fingerprint, time: world.clock.seconds, with: first.key)),
            (
                third,
                try .sign(
                    tunnelID: world.tunnel, purpose: .certificate, subject: third.fingerprint, time: world.clock.seconds - 31 * 86_400,
                    with: first.key)
            ),
        ] {
            let refused = try await world.certify(authority, wrong)
            #expect(refused.status == 400 && code(refused) == "registration_statement_refused", "\(refused.text)")
        }
        let garbage = try await world.server.call(
            .post, "/v1/tunnels/\(world.tunnel)/certificates", body: ["ca_certificate_pem": .string(third.pem), "statement": ["signature": "x"]])
        #expect(garbage.status == 400 && code(garbage) == "registration_statement_malformed")
        #expect(try await world.believed() == [first.pem])
    }

    @Test func oneThatWaitsIsEndorsedLater() async throws {
        let world = try await World()
        let (first, second) = (try Authority(), try Authority())
        _ = try await world.certify(first)
        let made = try await world.certify(second)
        let path = "\(world.own)/certificates/\(made.id)/endorse"
        let wrong = try await world.server.call(.post, path, body: ["statement": try world.statement(second.key, second.fingerprint).json])
        #expect(wrong.status == 400 && code(wrong) == "registration_statement_refused")
        #expect(try await world.server.call(.post, path, body: [:]).status == 400)
        #expect(try await world.believed() == [first.pem])
        let endorsed = try await world.server.call(.post, path, body: ["statement": try world.statement(first.key, second.fingerprint).json])
        #expect(endorsed.status == 200 && endorsed.json["counts"] == true, "\(endorsed.text)")
        #expect(Set(try await world.believed()) == [first.pem, second.pem])
    }

    // MARK: The owner

    @Test func theOwnersKeySpeaksAndCannotBeReplacedByTheAPIAlone() async throws {
        let world = try await World()
        let (owner, attacker) = (P256.Signing.PrivateKey(), P256.Signing.PrivateKey())
        func set(_ key: P256.Signing.PrivateKey, _ statement: RegistrationStatement? = nil) async throws -> Fixture.Reply {
            var body: JSONObject = ["public_key": .string(key.publicKey.derRepresentation.base64EncodedString())]
            if let statement { body["statement"] = statement.json }
            return try await world.server.call(.post, "\(world.own)/owner_key", body: .object(body))
        }
        let name = RegistrationHead.fingerprint(owner.publicKey)
        #expect(try await set(owner).json["owner_key"] == .string(name))
        let (first, second) = (try Authority(), try Authority())
        _ = try await world.certify(first, try world.statement(.init(owner), first.fingerprint))
        let taken = try await set(attacker)
        #expect(taken.status == 200 && taken.json["owner_key"] == .string(name) && taken.json["owner_key_pending"]?["counts_at"]?.string != nil)
        let refused = try await world.certify(second, try world.statement(.init(attacker), second.fingerprint))
        #expect(refused.status == 400 && code(refused) == "registration_statement_refused")
        // The owner takes the place back before the day is over.
        #expect(try await set(owner, try world.statement(.init(owner), name, .ownerKey)).json["owner_key_pending"] == .null)
        world.clock.pass(2 * 86_400)
        #expect(try await world.server.call(.get, "\(world.own)/settings").json["owner_key"] == .string(name))
        _ = try await world.certify(second, try world.statement(.init(owner), second.fingerprint))
        #expect(Set(try await world.believed()) == [first.pem, second.pem])
        for body: JSON in [[:], ["public_key": "AAAA"], ["public_key": 7]] {
            #expect(try await world.server.call(.post, "\(world.own)/owner_key", body: body).status == 400)
        }
    }

    // MARK: registration: api

    @Test func theAPIAloneDecidesWhereThatWasChosen() async throws {
        let world = try await World(["registration": "api"])
        let (first, second) = (try Authority(), try Authority())
        _ = try await world.certify(first)
        _ = try await world.certify(second)
        #expect(Set(try await world.believed()) == [first.pem, second.pem])
        // Narrowing back is at once.
        #expect(try await world.server.call(.post, "\(world.own)/settings", body: ["registration": "signed"]).json["registration"] == "signed")
        #expect(try await world.server.call(.post, "/v1/tunnels", body: ["registration": "anyhow"]).status == 400)
    }

    @Test func looseningTakesADayOrAStatement() async throws {
        let world = try await World()
        let (first, second) = (try Authority(), try Authority())
        _ = try await world.certify(first)
        let path = "\(world.own)/settings"
        let asked = try await world.server.call(.post, path, body: ["registration": "api"])
        #expect(asked.json["registration"] == "signed" && asked.json["registration_pending"]?["registration"] == "api")
        _ = try await world.certify(second)
        #expect(try await world.believed() == [first.pem])
        #expect(try await world.server.call(.post, path, body: ["registration": "signed"]).json["registration_pending"] == .null)
        world.clock.pass(2 * 86_400)
        #expect(try await world.server.call(.get, path).json["registration"] == "signed")
        let statement = try world.statement(first.key, "api", .registration)
        let loosened = try await world.server.call(.post, path, body: ["registration": "api", "statement": statement.json, "splice": true])
        #expect(loosened.json["registration"] == "api" && loosened.json["splice"] == true, "\(loosened.text)")
        #expect(try await world.server.call(.post, path, body: [:]).status == 400)
        #expect(try await world.server.call(.post, path, body: ["registration": "any"]).status == 400)
    }

    // MARK: The log

    @Test func everyRegistrationIsAnEntryAndHeadsExtendOneAnother() async throws {
        let world = try await World()
        var heads = [try await world.log().head]
        let first = try Authority()
        let certificate = try await world.certify(first)
        heads.append(try await world.log().head)
        let token = try await world.server.call(.post, "/v1/tunnels/\(world.tunnel)/reveal_token").json["tunnel_token"]?.string ?? ""
        let key = P256.Signing.PrivateKey().publicKey.derRepresentation
        let edge = try await world.server.apiKey("edge").secret
        for _ in 0..<2 {
            let enrolled = try await world.server.call(
                .post, "/postern/v1/edge/enrolments", key: edge,
                body: ["tunnel_token": .string(token), "connector_key": .string(key.base64EncodedString())])
            #expect(enrolled.status == 200)
        }
        heads.append(try await world.log().head)
        let fingerprint = Hexadecimal.text(SHA256.hash(data: key))
        for _ in 0..<2 { _ = try await world.server.call(.post, "\(world.own)/connector_keys/\(fingerprint)/revoke") }
        _ = try await world.server.call(.post, "/v1/tunnels/\(world.tunnel)/certificates/\(certificate.id)/archive")
        heads.append(try await world.log().head)
        // Of an edge's answer and the client's alike.
        for (index, old) in heads.enumerated() {
            for path in ["\(world.own)/registrations/head", "/postern/v1/edge/tunnels/\(world.tunnel)/registrations"] {
                let key = path.contains("/edge/") ? edge : nil
                let answer = try RegistrationAnswer(json: try await world.server.call(.get, "\(path)?since=\(old.size)", key: key).json)
                #expect(
                    MerkleTree.extends(
                        first: old.size, firstRoot: old.root, second: answer.head.size, secondRoot: answer.head.root, proof: answer.consistency),
                    "\(index)")
                #expect(answer.entries.count == answer.head.size - old.size)
            }
        }
        _ = try await world.server.call(.post, "/v1/tunnels/\(world.tunnel)/archive")
        #expect(
            try await world.types() == [
                "tunnel", "certificate_added", "connector_key_enrolled", "connector_key_revoked", "certificate_archived", "tunnel_archived",
            ])
        let page = try await world.server.call(.get, "\(world.own)/registrations?after=2&limit=2").json
        #expect(page["size"] == 6 && page["data"]?.array?.map { $0["position"] } == [2, 3])
        #expect(try await world.server.call(.get, "\(world.own)/registrations?after=-1").status == 400)
        #expect(try await world.server.call(.get, "/postern/v1/edge/tunnels/\(world.tunnel)/registrations", key: edge).status == 404, "archived")
    }

    @Test func theLogsKeyStaysOverRestartsAndIsEachWorkspacesOwn() async throws {
        let world = try await World()
        let key = try await world.log().logKey
        #expect(try await RegistrationAnswer(json: world.server.restarted().call(.get, "\(world.own)/registrations/head").json).logKey == key)
        #expect(
            try await RegistrationAnswer(json: world.server.restarted(sealByte: 8).call(.get, "\(world.own)/registrations/head").json).logKey != key)
        let made = try await world.server.call(.post, "/postern/v1/workspaces", body: ["name": "elsewhere"])
        let foreign = try await world.server.call(
            .post, "/postern/v1/keys", body: ["name": "k", "role": "admin", "workspace_id": .string(made.id)]
        ).json["secret"]?.string
        let theirs = try await world.server.tunnel(key: foreign)
        let answer = try RegistrationAnswer(
            json: try await world.server.call(.get, "/postern/v1/tunnels/\(theirs)/registrations/head", key: foreign).json)
        #expect(answer.logKey != key)
        for (method, path) in [
            (HTTPRequest.Method.get, "/registrations"), (.get, "/registrations/head"), (.get, "/certificates"), (.post, "/owner_key"),
            (.post, "/certificates/tcrt_1/endorse"),
        ] {
            let body: JSON? = method == .post ? ["statement": [:], "public_key": "AAAA"] : nil
            let reply = try await world.server.call(
                method, world.own + path, key: foreign, body: path == "/owner_key" ? ["public_key": "AAAA"] : body)
            #expect([400, 404].contains(reply.status) && (method == .post || reply.status == 404), "\(path): \(reply.text)")
        }
        let developer = try await world.server.apiKey("developer").secret
        #expect(try await world.server.call(.post, world.own + "/owner_key", key: developer, body: ["public_key": "AAAA"]).status == 403)
        #expect(try await world.server.call(.get, world.own + "/registrations/head", key: developer).status == 200)
        let edge = try await world.server.apiKey("edge").secret
        #expect(try await world.server.call(.get, world.own + "/registrations/head", key: edge).status == 403)
        #expect(try await world.server.call(.get, "/postern/v1/edge/tunnels/\(world.tunnel)/registrations", key: developer).status == 403)
    }

    @Test func aTunnelOlderThanTheLogsHasWhatItHadInItsFirstEntry() async throws {
        let world = try await World()
        let (first, second) = (try Authority(), try Authority())
        _ = try await world.certify(first)
        world.server.store.replaceRegistrations([], tunnelID: world.tunnel)
        // The first that happens after the upgrade is an attempt to add one.
        _ = try await world.certify(second)
        #expect(try await world.believed() == [first.pem])
        guard case .tunnel(.signed, let certificates, _) = try RegistrationEntry(try await world.log().entries[0]).kind else {
            return #expect(Bool(false))
        }
        #expect(certificates.map(\.fingerprint) == [first.fingerprint])
    }

    @Test func aLogThatIsFullTakesOnlyWhatTakesAway() async throws {
        let world = try await World()
        let first = try Authority()
        let made = try await world.certify(first)
        var log = try await world.log().entries
        while log.count < 960 {
            let entry = RegistrationEntry(tunnelID: world.tunnel, at: world.clock.seconds, .connectorKeyEnrolled(fingerprint: "k\(log.count)"))
            log.append(entry.encoded)
        }
        world.server.store.replaceRegistrations(log, tunnelID: world.tunnel)
        let refused = try await world.certify(try Authority())
        #expect(refused.status == 400 && code(refused) == "registration_limit_reached")
        #expect(try await world.server.call(.post, "/v1/tunnels/\(world.tunnel)/certificates/\(made.id)/archive").status == 200)
        #expect(try await world.server.call(.post, "/v1/tunnels/\(world.tunnel)/archive").status == 200)
    }

    @Test func aDamagedLogStopsRegistrationsAndSaysSo() async throws {
        let world = try await World()
        let first = try Authority()
        _ = try await world.certify(first)
        var log = try await world.log().entries
        log[1][30] ^= 1
        world.server.store.replaceRegistrations(log, tunnelID: world.tunnel)
        let refused = try await world.certify(try Authority())
        #expect(refused.status == 500 && refused.message?.contains("damaged") == true, "\(refused.text)")
    }
}
