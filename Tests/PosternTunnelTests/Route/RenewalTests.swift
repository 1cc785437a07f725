import Crypto
import Foundation
import ManagedAgentsClient
import NIOCore
import PosternConnector
import PosternHTTP
import PosternMCP
import PosternTunnelLink
import PosternTunnelWire
import SwiftASN1
import Synchronization
import Testing
import X509

/// Calls that outlive the certificate that they began with, and who can have them do so.
@Suite("Calls that are proved anew", .timeLimit(.minutes(2)))
struct RenewalTests {
    private static let host = "docs.\(TunnelWorld.domain)"

    /// The machine was too slow for certificates of so few seconds.
    private struct Late: Error {}

    /// A stream of events that has begun.
    private static func stream(_ world: TunnelWorld, _ way: TunnelClient.Way, as caller: TunnelWorld.Caller, call id: String?) async throws
        -> (TunnelClient, BodyReader)
    {
        try await TunnelClient.events(world, way, as: caller, fields: id.map { "Postern-Call: \($0)\r\n" } ?? "")
    }

    /// Returns when the stream was cut, and with it every other one whose certificate has ended a second before.
    private static func isCut(_ stream: (TunnelClient, BodyReader)) async {
        var (client, body) = stream
        await #expect(throws: (any Error).self) { try await client.piece(&body) }
    }

    @Test("a newer certificate of the very same caller lets the call go on that it names, and nobody else's does")
    func connector() async throws {
        try await TunnelWorld.run { world in
            let (id, running, other) = try await Lifetime.long(from: 2) { seconds in
                let id = CallRenewal.newID()
                let running = try await Self.stream(world, .splice, as: try world.runtime(until: seconds), call: id)
                let other = try await Self.stream(world, .splice, as: try world.runtime(until: seconds + 1), call: CallRenewal.newID())
                var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
                let answer = try await client.call("POST", CallRenewal.path, body: "", fields: "Postern-Call: \(id)\r\n")
                guard answer.status == 204 else { throw Late() }
                return (id, running, other)
            }
            let renewal = "Postern-Call: \(id)\r\n"
            let begun = world.upstream.now.heads.count
            let changes: [(String, String, (inout RuntimeIdentity) -> Void)] = [
                ("docs", renewal, { $0.client = "eve" }), ("docs", renewal, { $0.person = "eve" }), ("docs", renewal, { $0.routes = ["docs"] }),
                ("docs", renewal, { $0.sessionID = "sesn_2" }), ("docs", renewal, { $0.agentID = "agent_2" }), ("other", renewal, { _ in }),
                ("docs", "Postern-Call: \(CallRenewal.newID())\r\n", { _ in }),
            ]
            for (route, fields, change) in changes {
                var client = try await TunnelClient.open(world, .splice, as: try world.runtime(change), host: "\(route).\(TunnelWorld.domain)")
                let answer = try await client.call(
                    "POST", CallRenewal.path, body: "", host: "\(route).\(TunnelWorld.domain)", fields: fields)
                #expect(answer.status == 404, "\(route) \(fields)")
            }
            for (method, fields, status) in [
                ("POST", "", 400), ("POST", "Postern-Call: x\r\n", 400), ("POST", renewal + renewal, 400), ("GET", renewal, 405),
            ] {
                var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
                #expect(try await client.call(method, CallRenewal.path, fields: fields).status == status, "\(method) \(fields)")
            }
            // One that ends earlier shortens nothing.
            var older = try await TunnelClient.open(world, .splice, as: try world.runtime(until: 60))
            #expect(try await older.call("POST", CallRenewal.path, body: "", fields: renewal).status == 204)
            await Self.isCut(other)
            world.upstream.go.open()
            var (client, body) = running
            #expect(try await client.piece(&body) == "data: 2\n\n")
            #expect(try await client.piece(&body) == nil)
            let heads = world.upstream.now.heads
            #expect(heads.count == begun && heads.allSatisfy { !$0.lowercased().contains("postern-call") })
            client.stream.close()
        }
    }

    /// A runtime certificate with its key.
    private static func credentials(_ world: TunnelWorld, until: TimeInterval) throws -> TunnelCredentials {
        let key = P256.Signing.PrivateKey()
        let identity = RuntimeIdentity(tunnelID: TunnelWorld.tunnelID, workspaceID: TunnelWorld.workspaceID, client: "test")
        let certificate = try RuntimeCertificate.issue(
            identity, publicKey: key.publicKey, authority: world.runtimeAuthority.certificate, authorityKey: world.runtimeAuthority.key,
            notBefore: Date() - 60, notAfter: Date() + until)
        return try TunnelCredentials(
            certificate: certificate.serializeAsPEM().pemString, key: key.pemRepresentation, authorities: world.tunnelAuthority.certificatePEM)
    }

    @Test("a runtime proves its calls anew by itself, past the edge, which goes by certificates too", arguments: [TunnelRoute.Way.connect, .splice])
    func runtime(_ way: TunnelRoute.Way) async throws {
        try await TunnelWorld.run { world in
            let edge = TunnelRoute.Edge(
                addresses: [EdgeAddress(host: "127.0.0.1", port: world.port)], name: TunnelWorld.edgeName,
                authorities: world.edgeAuthority.made.certificatePEM)
            let route = TunnelRoute(host: TunnelHost(route: "docs", domain: TunnelWorld.domain), edge: edge, way: way)
            let connections = TunnelConnections()
            let body = try await Lifetime.long(from: 2) { seconds in
                // The newer one is there from the second question on.
                let asked = Mutex(0)
                let (short, long) = (try Self.credentials(world, until: seconds), try Self.credentials(world, until: 600))
                let transport = TunnelTransport(route, connections: connections) { () throws(TransportError) in
                    asked.withLock { asked in
                        asked += 1
                        return asked == 1 ? short : long
                    }
                }
                let request = ClientRequest(method: .get, target: "/events", headers: ClientHeaders(), body: [], timeout: .seconds(30))
                let answer = try await transport.send(request)
                try #require(answer.status == 200)
                let caller = try world.runtime({ $0.client = "other" }, until: seconds + 1)
                await Self.isCut(try await Self.stream(world, way == .splice ? .splice : .certified(caller), as: caller, call: nil))
                guard world.log.events.contains(where: { if case .renewed(route: "docs") = $0 { true } else { false } }) else { throw Late() }
                return answer.body
            }
            world.upstream.go.open()
            var text = ""
            for try await piece in body { text += String(decoding: piece, as: UTF8.self) }
            #expect(text == "data: 1\n\ndata: 2\n\n")
            await connections.shutdown()
        }
    }
}
