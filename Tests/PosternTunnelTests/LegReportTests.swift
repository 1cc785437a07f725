import Crypto
import Foundation
import ManagedAgentsClient
import NIOCore
import NIOSSL
import PosternConnector
import PosternHTTP
import PosternJSON
import PosternMCP
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire
import SwiftASN1
import Testing
import X509

@testable import PosternEdge

/// What runtimes tell an edge of inner handshakes that failed.
@Suite("Reports of runtimes", .timeLimit(.minutes(2)))
struct LegReportTests {
    /// The product's runtime, by CONNECT, each call on a connection of its own.
    private struct Runtime: Sendable {
        let world: TunnelWorld
        let credentials: TunnelCredentials

        init(_ world: TunnelWorld, _ client: String) throws {
            self.world = world
            let key = P256.Signing.PrivateKey()
            let identity = RuntimeIdentity(
                tunnelID: TunnelWorld.tunnelID, workspaceID: TunnelWorld.workspaceID, person: "apikey_" + client, client: client)
            let certificate = try RuntimeCertificate.issue(
                identity, publicKey: key.publicKey, authority: world.runtimeAuthority.certificate, authorityKey: world.runtimeAuthority.key,
                notBefore: Date() - 60, notAfter: Date() + 3600)
            credentials = try TunnelCredentials(
                certificate: certificate.serializeAsPEM().pemString, key: key.pemRepresentation, authorities: world.tunnelAuthority.certificatePEM)
        }

        /// `nil` where it is answered, else why not.
        func call() async -> String? {
            let connections = TunnelConnections()
            let route = TunnelRoute(
                host: TunnelHost(route: "docs", domain: TunnelWorld.domain),
                edge: .init(
                    addresses: [EdgeAddress(host: "127.0.0.1", port: world.port)], name: TunnelWorld.edgeName,
                    authorities: world.edgeAuthority.made.certificatePEM))
            let transport = TunnelTransport(route, connections: connections) { [credentials] () throws(TransportError) in credentials }
            let request = ClientRequest(
                method: .post, target: "/echo", headers: ClientHeaders([]), body: Array("x".utf8), timeout: .seconds(30))
            var failure: String?
            do {
                var body: [UInt8] = []
                for try await piece in try await transport.send(request).body { body += piece }
                if body != Array("x".utf8) { failure = String(decoding: body, as: UTF8.self) }
            } catch {
                failure = "\(error)"
            }
            await connections.shutdown()
            return failure
        }
    }

    /// Runs `body` beside a connector of somebody who has enrolled a key of its own, and answers with certificates of its own authority.
    private static func withThief(_ world: TunnelWorld, legs: Int, _ body: @escaping @Sendable () async throws -> Void) async throws {
        let key = try ConnectorCertificates.connector(now: Date())
        let authority = try ConnectorCertificates.authority(domain: TunnelWorld.domain, now: Date())
        let server = try ConnectorCertificates.server(domain: TunnelWorld.domain, authority: authority, now: Date())
        let log = EventLog()
        var options = world.options
        options.legs = legs
        options.name = "thief"
        let thief = try world.makeConnector(
            log: log, options: options,
            files: [
                "connector.key": key.keyPEM, "connector.pem": key.certificatePEM, "server.pem": server.certificatePEM, "server.key": server.keyPEM,
            ])
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { await thief.run() }
            await log.wait { $0.legs == legs }
            try await body()
        }
    }

    @Test("a call whose leg is not the connector's goes over another one, and none is lost to it")
    func passedOver() async throws {
        var options = TunnelWorld.Options()
        options.legs = 1
        try await TunnelWorld.run(options) { world in
            // One that runs keeps the good leg behind the thief's, which has none. It is opened before that comes: it might go there else.
            let caller = try world.runtime()
            var running = try await TunnelClient.open(world, .certified(caller), as: caller)
            #expect(try await running.call("POST", "/echo", body: "x").body == "x")
            let stream = running.stream
            try await Self.withThief(world, legs: 1) {
                let runtime = try Runtime(world, "a")
                for _ in 0..<4 { #expect(await runtime.call() == nil) }
                #expect(world.registry.rendered().contains(#"postern_edge_reports_total{reason="certificate"} 1"#))
                stream.close()
            }
        }
    }

    @Test("legs that a caller has reported again and again get none of its calls, and lose nobody else's")
    func shut() async throws {
        try await TunnelWorld(TunnelWorld.Options()).runParts(connects: false) { world in
            let (one, other) = (try Runtime(world, "a"), try Runtime(world, "b"))
            try await Self.withThief(world, legs: 1) {
                for _ in 0..<LegReports.patience {
                    let reason = await one.call()
                    #expect(reason?.contains("inner TLS") == true, "\(reason ?? "answered")")
                }
                let reason = await one.call()
                #expect(reason?.contains("503") == true && reason?.contains("has reported") == true, "\(reason ?? "answered")")
                #expect(await other.call()?.contains("inner TLS") == true)
                // The right connector comes: who has reported the other one reaches it at once.
                let log = EventLog()
                let good = try world.makeConnector(log: log)
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await good.run() }
                    await log.wait { $0.legs == 2 }
                    for _ in 0..<3 { #expect(await one.call() == nil) }
                    group.cancelAll()
                }
            }
        }
    }

    @Test("a call is reported once, by who has opened it, and by nobody else")
    func attacks() async throws {
        try await TunnelWorld.run { world in
            func connect(_ caller: TunnelWorld.Caller, key: String? = nil) async throws -> (ByteStream, String) {
                let stream = try await TunnelClient.dial(world.port)
                try await TunnelClient.outer(stream, world, certificate: caller.certificate, key: caller.key)
                let host = "docs.\(TunnelWorld.domain):443"
                let secret = key.map { "Proxy-Authorization: Bearer \($0)\r\n" } ?? ""
                try await stream.write(ByteBuffer(string: "CONNECT \(host) HTTP/1.1\r\nHost: \(host)\r\n\(secret)\r\n"))
                var reader = MessageReader(stream)
                let answer = try await TunnelClient.read(&reader, method: "GET", isConnect: true)
                return (stream, try #require(TunnelReport.call(answer.head.fields)))
            }
            func report(_ call: String, _ caller: TunnelWorld.Caller, key: String? = nil) async throws -> Int {
                let stream = try await TunnelClient.dial(world.port)
                defer { stream.close() }
                try await TunnelClient.outer(stream, world, certificate: caller.certificate, key: caller.key)
                try await stream.write(TunnelReport(call: call, reason: .certificate).encoded(host: TunnelWorld.edgeName, apiKey: key))
                var reader = MessageReader(stream)
                return try await TunnelClient.read(&reader, method: "POST").status
            }
            /// One that has reached a leg.
            func opened(_ caller: TunnelWorld.Caller, key: String? = nil) async throws -> (ByteStream, String) {
                let (stream, call) = try await connect(caller, key: key)
                let authority = try NIOSSLCertificate.fromPEMBytes(Array(world.tunnelAuthority.certificatePEM.utf8))
                try await TunnelClient.inner(stream, caller, authority, host: "docs.\(TunnelWorld.domain)")
                return (stream, call)
            }
            world.directory.setCredential("key_2", workspaceID: TunnelWorld.workspaceID)
            world.directory.setCredential("key_foreign", workspaceID: "wrkspc_2")
            let (mine, others) = (try world.runtime { $0.client = "mine" }, try world.runtime { $0.client = "others" })
            let (stream, call) = try await opened(mine)
            #expect(try await report("0123456789abcdef", mine) == 404)
            #expect(try await report(call, others) == 404)
            #expect(try await report(call, .none) == 407)
            #expect(try await report(call, .none, key: TunnelWorld.apiKey) == 404)
            #expect(try await report(call, .none, key: "key_foreign") == 403)
            #expect(try await report(call, try world.runtime { $0.workspaceID = "wrkspc_2" }) == 403)
            #expect(try await report(call, mine) == 200)
            #expect(try await report(call, mine) == 404)
            let (byKey, second) = try await opened(mine, key: TunnelWorld.apiKey)
            #expect(try await report(second, mine) == 404)
            #expect(try await report(second, .none, key: "key_2") == 404)
            #expect(try await report(second, .none, key: TunnelWorld.apiKey) == 200)
            stream.close()
            byKey.close()
        }
    }

    /// Whoever waited for such a leg would look at it again and again, without a pause.
    @Test("a leg that is shut to a caller is none to wait for, and reports by a key that many may share shut none")
    func nothingToWaitFor() async throws {
        try await LegPair.run { pair in
            let table = LegTable()
            table.replace(
                EdgeTunnels(
                    revision: 1,
                    tunnels: [EdgeTunnel(id: "t", domain: "t.example.com", workspaceID: "w", splices: false, connectorKeys: ["k"])]))
            let leg = EdgeLeg(id: table.nextID(), tunnelID: "t", connectorKey: "k", name: "a", version: "1", since: 0, leg: pair.edge)
            try table.add(leg)
            let (certified, keyed) = (CallOpening(isSplice: false, caller: "p", certificate: "1"), CallOpening(isSplice: false, caller: "key"))
            func isThere(_ opening: CallOpening) -> Bool {
                let isPicked =
                    table.pick(tunnelID: "t", tried: [], isSplice: false, near: pair.edge.channel.eventLoop, for: opening.reporter) != nil
                let hasLegs = table.hasLegs(tunnelID: "t", besides: [], isSplice: false, notShutTo: opening.reporter)
                #expect(isPicked == hasLegs && hasLegs != table.isShut(tunnelID: "t", to: opening.reporter))
                return hasLegs
            }
            for opening in [certified, keyed] {
                #expect(isThere(opening))
                for index in 0..<LegReports.patience {
                    let call = "\(opening.reporter) \(index)"
                    table.began(call, on: leg, TunnelHost(route: "docs", domain: "t.example.com"), opening.reporter)
                    #expect(table.reported(call, by: opening))
                }
            }
            #expect(!isThere(certified) && isThere(keyed))
        }
    }

    @Test("of a caller's calls the newest can be reported, for a minute, and doubts end")
    func bounds() throws {
        var reports = LegReports()
        let host = TunnelHost(route: "docs", domain: TunnelWorld.domain)
        func call(_ leg: Int, _ reporter: String, at time: Double) -> LegReports.Call {
            .init(tunnelID: "t", host: host, leg: leg, key: "k", reporter: reporter, began: time)
        }
        for index in 0...LegReports.mostOfCaller { reports.began("a\(index)", call(1, "a", at: 0)) }
        reports.began("b", call(1, "b", at: 0))
        #expect(reports.failed("a0", by: "a", now: 1) == nil)
        #expect(reports.failed("a1", by: "b", now: 1) == nil)
        #expect(reports.failed("a1", by: "a", now: LegReports.memory + 1) == nil)
        #expect(reports.failed("a1", by: "a", now: 1) != nil && reports.isDoubted(1, by: "a", now: 1) && !reports.isShut(1, to: "a", now: 1))
        #expect(!reports.isDoubted(1, by: "b", now: 1) && !reports.isDoubted(2, by: "a", now: 1))
        #expect(reports.failed("a2", by: "a", now: 2) != nil && reports.isShut(1, to: "a", now: 2) && !reports.isShut(1, to: "b", now: 2))
        #expect(!reports.isShut(1, to: "a", now: 2 + LegReports.first) && reports.isDoubted(1, by: "a", now: 2 + LegReports.first))
        #expect(!reports.isDoubted(1, by: "a", now: 2 + LegReports.memory))
        reports.began("c", call(1, "a", at: 100))
        #expect(reports.failed("c", by: "a", now: 100) != nil && !reports.isShut(1, to: "a", now: 100))
        reports.ended(1)
        #expect(!reports.isDoubted(1, by: "a", now: 100))
        // Beyond the bound further calls cannot be reported, until old ones are forgotten.
        for index in 0..<LegReports.most { reports.began("x\(index)", call(1, "r\(index)", at: 200)) }
        reports.began("late", call(1, "z", at: 201))
        #expect(reports.call("late", now: 201) == nil)
        // They are looked for once a second at most: to look at all of them for each call would cost more than the calls.
        for (id, time, isTaken) in [("early", 259.9, false), ("soon", 260.5, false), ("later", 261, true)] {
            reports.began(id, call(1, "z", at: time))
            #expect((reports.call(id, now: time) != nil) == isTaken, "\(id)")
        }
    }
}
