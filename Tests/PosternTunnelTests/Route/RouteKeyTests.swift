import Crypto
import Foundation
import ManagedAgentsClient
import NIOCore
import PosternConnector
import PosternMCP
import PosternTLS
import PosternTunnelLink
import PosternTunnelWire
import SwiftASN1
import Testing
import X509

/// Routes that are called by an id that an edge can make no name of.
@Suite("Routes by id", .timeLimit(.minutes(2)))
struct RouteKeyTests {
    private static let text = String(repeating: "0f", count: 32)

    private static func host(_ key: RouteKey, _ route: String) -> String { "\(key.id(of: route)).\(TunnelWorld.domain)" }

    private static func options(_ key: RouteKey) -> TunnelWorld.Options {
        var options = TunnelWorld.Options()
        options.files = ["route.key": key.text + "\n"]
        options.change = { $0.tunnel.routeKeyFile = "route.key" }
        return options
    }

    @Test("an id is one label, the same for the same route and key, and no name of a route")
    func ids() throws {
        let key = try #require(RouteKey(Self.text))
        let other = try #require(RouteKey([UInt8](repeating: 1, count: 32)))
        let id = key.id(of: "docs")
        #expect(key.text == Self.text && RouteKey(key.text) == key && "\(key)" == "RouteKey")
        #expect(id == key.id(of: "docs") && id != key.id(of: "doc") && id != other.id(of: "docs"))
        #expect(RouteKey.isID(id) && HostName.canonical("\(id).x") == "\(id).x" && !id.contains("docs"))
        #expect(!TunnelHost.isRoute(id) && TunnelHost.isRoute("r--docs") && TunnelHost.isRoute("docs"))
        for text in [
            "", Self.text.uppercased().replacing("0", with: "A"), String(Self.text.dropLast()), Self.text + "0", "g" + Self.text.dropFirst(),
        ] {
            #expect(RouteKey(text) == nil, "\(text)")
        }
        #expect(throws: PolicyTextError.self) { try Self.configuration(route: id) }
    }

    private struct PolicyTextError: Error {}

    private static func configuration(route: String) throws(PolicyTextError) {
        let text = ConnectorConfigurationTests.good.replacing("  open:\n", with: "  \(route):\n")
        do { _ = try ConnectorConfiguration(text: text, file: "c.yaml", hostName: "h") } catch { throw PolicyTextError() }
    }

    @Test("a runtime that holds the key shows nobody on the way the name, and its certificate's rules count all the same")
    func runtime() async throws {
        let (key, other) = (try #require(RouteKey(Self.text)), try #require(RouteKey([UInt8](repeating: 1, count: 32))))
        try await TunnelWorld.run(Self.options(key)) { world in
            let relay = try await TestRelay(to: world.port)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await relay.run() }
                for way in [TunnelRoute.Way.connect, .splice] {
                    for (routes, status) in [
                        ([], 200), (["docs"], 200), ([key.id(of: "docs")], 200), (["other"], 403), ([key.id(of: "other")], 403),
                        ([other.id(of: "docs")], 403),
                    ] {
                        let edge = TunnelRoute.Edge(
                            addresses: [EdgeAddress(host: "127.0.0.1", port: relay.port)], name: TunnelWorld.edgeName,
                            authorities: world.edgeAuthority.made.certificatePEM)
                        let route = TunnelRoute(host: TunnelHost(route: "docs", domain: TunnelWorld.domain), edge: edge, way: way, routeKey: key)
                        let connections = TunnelConnections()
                        let credentials = try Self.credentials(world, routes)
                        let transport = TunnelTransport(route, connections: connections) { () throws(TransportError) in credentials }
                        let answer = try await transport.send(
                            ClientRequest(method: .get, target: "/head", headers: ClientHeaders(), body: [], timeout: .seconds(30)))
                        #expect(answer.status == status, "\(way) \(routes)")
                        var body = ""
                        for try await piece in answer.body { body += String(decoding: piece, as: UTF8.self) }
                        #expect(body.contains(status == 200 ? "X-Forwarded-Host: docs.\(TunnelWorld.domain)" : "route_not_opened"))
                        await connections.shutdown()
                    }
                }
                group.cancelAll()
            }
            let seen = String(decoding: relay.bytes, as: UTF8.self)
            #expect(seen.contains(Self.host(key, "docs")) && !seen.contains("docs.\(TunnelWorld.domain)"))
        }
    }

    private static func credentials(_ world: TunnelWorld, _ routes: [String]) throws -> TunnelCredentials {
        let key = P256.Signing.PrivateKey()
        let identity = RuntimeIdentity(tunnelID: TunnelWorld.tunnelID, workspaceID: TunnelWorld.workspaceID, client: "test", routes: routes)
        let certificate = try RuntimeCertificate.issue(
            identity, publicKey: key.publicKey, authority: world.runtimeAuthority.certificate, authorityKey: world.runtimeAuthority.key,
            notBefore: Date() - 60, notAfter: Date() + 600)
        return try TunnelCredentials(
            certificate: certificate.serializeAsPEM().pemString, key: key.pemRepresentation, authorities: world.tunnelAuthority.certificatePEM)
    }

    @Test("name and id of different routes, an id of another key, and one where no key is, lead nowhere")
    func swaps() async throws {
        let (key, other) = (try #require(RouteKey(Self.text)), try #require(RouteKey([UInt8](repeating: 1, count: 32))))
        let docs = "docs.\(TunnelWorld.domain)"
        try await TunnelWorld.run(Self.options(key)) { world in
            let caller = try world.runtime()
            var client = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: caller, host: Self.host(key, "docs"))
            #expect(try await client.call("GET", "/head", host: docs).status == 200)
            // Inside it is the route's own name that counts.
            #expect(try await client.call("GET", "/head", host: "other.\(TunnelWorld.domain)").status == 421)
            for (asked, named) in [(Self.host(key, "docs"), docs), (docs, Self.host(key, "docs")), (Self.host(key, "docs"), Self.host(key, "other"))]
            {
                await #expect(throws: (any Error).self, "\(asked) \(named)") {
                    _ = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: caller, host: asked, serverName: named)
                }
            }
            #expect(world.log.refusals.filter { $0 == "server_name" }.count == 3)
            await #expect(throws: (any Error).self) {
                _ = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: caller, host: Self.host(other, "docs"))
            }
            var options = world.options
            options.change = { _ in }
            try await world.reload(options)
            await #expect(throws: (any Error).self) {
                _ = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: caller, host: Self.host(key, "docs"))
            }
            #expect(world.log.refusals.filter { $0 == "no_route" }.count == 2)
            #expect(world.upstream.now.heads.count == 1)
            client.stream.close()
        }
    }
}
