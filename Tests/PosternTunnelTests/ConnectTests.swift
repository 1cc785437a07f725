import Foundation
import NIOCore
import NIOSSL
import PosternConnector
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire
import Testing

@testable import PosternEdge

/// What opens CONNECT at an edge besides an API key, and what ends a call that it has opened.
@Suite("CONNECT", .timeLimit(.minutes(2)))
struct ConnectTests {
    private static func isCut(_ client: TunnelClient, within time: TimeAmount = .seconds(10)) async {
        do {
            while let bytes = try await client.stream.read(within: time) { _ = bytes }
        } catch {
            #expect(!(error is TimedOut))
        }
        client.stream.close()
    }

    @Test("a runtime certificate opens the hosts of its tunnel, with no API key")
    func certificate() async throws {
        try await TunnelWorld.run { world in
            let runtime = try world.runtime()
            for host in ["docs", "other"] {
                var client = try await TunnelClient.open(world, .certified(runtime), as: runtime, host: "\(host).\(TunnelWorld.domain)")
                #expect(try await client.call("POST", "/echo", body: "x", host: "\(host).\(TunnelWorld.domain)").body == "x")
                client.stream.close()
            }
        }
    }

    @Test("a certificate that does not count opens nothing, and says why to none but its workspace's own")
    func refused() async throws {
        try await TunnelWorld.run { world in
            let now = Date()
            let foreign = try RuntimeAuthority.make(
                workspaceID: TunnelWorld.workspaceID, notBefore: now.addingTimeInterval(-60), notAfter: now.addingTimeInterval(3600))
            let identity = RuntimeIdentity(tunnelID: TunnelWorld.tunnelID, workspaceID: TunnelWorld.workspaceID, client: "test")
            let connector = TunnelWorld.Caller(pem: world.connectorKey.certificatePEM, keyPEM: world.connectorKey.keyPEM)
            let closed = "there is no such tunnel, or it is not open to this caller"
            let cases: [(TunnelWorld.Caller, String)] = [
                (try world.runtime(from: -600, until: -60), "has expired"), (try world.runtime(from: 60, until: 600), "not valid yet"),
                (try world.runtime { $0.tunnelID = "tnl_2" }, "for the tunnel tnl_2"), (try world.runtime { $0.workspaceID = "wrkspc_2" }, closed),
                (try world.runtime { $0.routes = ["other"] }, "does not open the route docs"),
                (try TunnelWorld.Caller(identity, authority: foreign), closed), (try #require(connector), closed),
            ]
            for (caller, reason) in cases {
                let refusal = await #expect(throws: TunnelClient.NotConnected.self) {
                    _ = try await TunnelClient.open(world, .certified(caller), as: caller)
                }
                #expect(refusal?.status == 403 && refusal?.body.contains(reason) == true, "\(reason): \(refusal?.body ?? "")")
            }
            // A tunnel that is not there is refused in the same words.
            let runtime = try world.runtime()
            let absent = await #expect(throws: TunnelClient.NotConnected.self) {
                _ = try await TunnelClient.open(world, .certified(runtime), as: runtime, host: "docs.zz.tunnel.example.com")
            }
            #expect(absent?.status == 403 && absent?.body.contains(closed) == true)
            #expect(world.upstream.now.connections == 0)
        }
    }

    @Test("a certificate of an authority that the control plane has taken back opens nothing")
    func authority() async throws {
        let world = try await TunnelWorld()
        world.directory.setAuthority("not a certificate", workspaceID: TunnelWorld.workspaceID)
        try await world.runParts { world in
            await world.log.wait { $0.legs == 2 }
            let runtime = try world.runtime()
            await #expect(throws: TunnelClient.NotConnected.self) { _ = try await TunnelClient.open(world, .certified(runtime), as: runtime) }
        }
    }

    @Test("a call ends with the certificate that opened it")
    func end() async throws {
        try await TunnelWorld.run { world in
            let lasting = try world.runtime()
            // The inner identity lasts, so what ends the call is the edge.
            let (client, seconds) = try await Lifetime.long(from: 4) { seconds in
                var client = try await TunnelClient.open(world, .certified(try world.runtime(until: seconds)), as: lasting)
                #expect(try await client.call("POST", "/echo", body: "x").body == "x")
                return (client, seconds)
            }
            await Self.isCut(client, within: .seconds(Int64(seconds) + 10))
            var other = try await TunnelClient.open(world, .certified(lasting), as: lasting)
            #expect(try await other.call("POST", "/echo", body: "y").body == "y")
            other.stream.close()
        }
    }

    @Test("a call ends with the API key that opened it, and with the one that asked for its certificate")
    func revocation() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.recheck = .milliseconds(20)
        try await TunnelWorld.run(options) { world in
            world.directory.setCredential("key_other", workspaceID: TunnelWorld.workspaceID)
            let runtime = try world.runtime { $0.person = "apikey_person" }
            var byKey = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: runtime)
            var byOther = try await TunnelClient.open(world, .connect("key_other"), as: runtime)
            var certified = try await TunnelClient.open(world, .certified(runtime), as: runtime)
            for (index, body) in ["1", "2", "3"].enumerated() {
                let answer =
                    switch index {
                    case 0: try await byKey.call("POST", "/echo", body: body)
                    case 1: try await byOther.call("POST", "/echo", body: body)
                    default: try await certified.call("POST", "/echo", body: body)
                    }
                #expect(answer.body == body)
            }
            world.directory.end("of " + TunnelWorld.apiKey)
            await Self.isCut(byKey)
            world.directory.end("apikey_person")
            await Self.isCut(certified)
            #expect(try await byOther.call("POST", "/echo", body: "4").body == "4")
            byOther.stream.close()
            // What has ended stays so, whatever the control plane says of it now.
            world.directory.answerOfEnds(false)
            let refusal = await #expect(throws: TunnelClient.NotConnected.self) {
                _ = try await TunnelClient.open(world, .certified(runtime), as: runtime)
            }
            #expect(refusal?.status == 403 && refusal?.body.contains("was revoked or has expired") == true)
        }
    }

    @Test("a call ends with the session that its certificate names, whoever asked for the certificate, and the session opens nothing more")
    func session() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.recheck = .milliseconds(20)
        try await TunnelWorld.run(options) { world in
            func open(_ session: String) async throws -> TunnelClient {
                let runtime = try world.runtime {
                    $0.client = nil
                    $0.person = "apikey_person"
                    $0.sessionID = session
                }
                var client = try await TunnelClient.open(world, .certified(runtime), as: runtime)
                #expect(try await client.call("POST", "/echo", body: session).body == session)
                return client
            }
            let ending = try await open("sesn_ends")
            var other = try await open("sesn_stays")
            world.directory.end("sesn_ends")
            await Self.isCut(ending)
            #expect(try await other.call("POST", "/echo", body: "x").body == "x")
            other.stream.close()
            let refusal = await #expect(throws: TunnelClient.NotConnected.self) { _ = try await open("sesn_ends") }
            #expect(refusal?.status == 403 && refusal?.body.contains("session that the client certificate names has ended") == true)
        }
    }

    @Test("the certificate of a revoked API key opens nothing, also where none of its calls ran; who was asked about a moment ago is not asked again")
    func revokedBefore() async throws {
        let clock = HandClock()
        var options = TunnelWorld.Options()
        options.edgeLimits.recheck = .hours(1)
        options.edgeLimits.clock = { clock.now }
        try await TunnelWorld.run(options) { world in
            func open(_ person: String) async throws {
                let runtime = try world.runtime { $0.person = person }
                var client = try await TunnelClient.open(world, .certified(runtime), as: runtime)
                #expect(try await client.call("POST", "/echo", body: "x").body == "x")
                client.stream.close()
            }
            world.directory.end("apikey_gone")
            let refusal = await #expect(throws: TunnelClient.NotConnected.self) { try await open("apikey_gone") }
            #expect(refusal?.status == 403)
            try await open("apikey_there")
            try await open("apikey_there")
            #expect(world.directory.questions(about: "apikey_there") == 1)
            // Revoked within the second for which an answer is good: known at the next question.
            world.directory.end("apikey_there")
            clock.pass(PrincipalNews.fresh)
            await #expect(throws: TunnelClient.NotConnected.self) { try await open("apikey_there") }
            #expect(world.directory.questions(about: "apikey_there") == 2)
            // While the control plane does not answer, a certificate opens what it opened.
            world.directory.answerOfEnds(false)
            try await open("apikey_other")
            await #expect(throws: TunnelClient.NotConnected.self) { try await open("apikey_gone") }
        }
    }

    @Test("a call whose credential ends between the check and its beginning does not begin")
    func endedMeanwhile() async throws {
        let table = LegTable()
        let tunnel = EdgeTunnel(id: "t", domain: "t.example.com", workspaceID: "w", splices: false, connectorKeys: [])
        table.replace(EdgeTunnels(revision: 1, tunnels: [tunnel]))
        let opening = CallOpening.credential(EdgePrincipal(workspaceID: "w", id: "p"))
        #expect(try await table.running(tunnel, opening, cut: {}) { true })
        table.heard(of: ["p"], ended: ["p"], asked: table.now)
        await #expect(throws: CallCut.self) { try await table.running(tunnel, opening, cut: {}) {} }
    }
}
