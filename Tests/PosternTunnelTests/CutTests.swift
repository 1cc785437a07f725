import Crypto
import Foundation
import NIOCore
import PosternConnector
import PosternEdge
import PosternHTTP
import PosternJSON
import PosternTunnelLink
import PosternTunnelWire
import Synchronization
import Testing
import X509

/// What ends calls that run because something of the tunnel was taken back. The connectors here look at their log once an hour: what they do sooner,
/// edges have told them.
@Suite("Cuts", .timeLimit(.minutes(2)))
struct CutTests {

    private final class Heard: Sendable {
        private let all = Mutex<[String]>([])
        func add(_ text: String) { all.withLock { $0.append(text) } }
        func has(_ text: String) -> Bool { all.withLock { $0.contains(text) } }
    }

    /// One that runs, with all that it is made of.
    private struct Scene: Sendable {
        let world: TunnelWorld
        let log: RegistrationLog
        let heard: Heard
        let connector: Connector
        let watcher: RegistrationWatcher

        /// Registers something; edges hear of it.
        func register(_ kind: RegistrationEntry.Kind) {
            log.append(kind)
            world.directory.change(TunnelWorld.tunnelID) { $0.registrations += 1 }
        }

        func reload(_ files: [String: String]) async throws {
            let (configuration, material) = try world.parts(world.options, files: files)
            try await connector.reload(configuration, material)
            try watcher.reload(configuration, material)
        }
    }

    private func run(_ body: @escaping @Sendable (Scene) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("cuts-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var options = TunnelWorld.Options()
        options.legs = 1
        try await TunnelWorld(options).runParts(connects: false) { [options] world in
            let (log, heard) = (RegistrationLog(), Heard())
            log.append(.tunnel(.signed, certificates: [], connectorKeys: []))
            log.append(
                .certificateAdded(try RegistrationLog.authority(world.tunnelAuthority.certificatePEM), countsAt: RegistrationLog.now, nil))
            world.directory.answerRegistrations { try log.answer($0) }
            var (configuration, material) = try world.parts(options)
            let stateFile = folder.appendingPathComponent("registrations.json").path
            configuration.registrations = .init(
                logKeyFile: "log.pem", stateFile: stateFile, ownerKeyFile: nil, refuseAfterHours: 24, intervalSeconds: 3600)
            let pins = try #require(try RegistrationWatch.Pins(configuration, material) { _ in log.key.publicKey.pemRepresentation })
            let watcher = try RegistrationWatcher(
                pins, configuration, material, stateFile: stateFile, interval: .seconds(3600), resolve: { _ in [] }, now: { log.date }
            ) { event in
                switch event {
                case .began: heard.add("began")
                case .registered(let news, _): heard.add(news.type)
                case .unanswered: heard.add("unanswered")
                default: break
                }
            }
            let connector = try Connector(
                configuration, material, version: "test", resolve: { _ in [] }, registrations: { watcher.refusal() },
                ofServer: { watcher.refusal(ofServer: $0) }, times: options.times
            ) { event in
                if case .news = event { watcher.nudge() }
                world.log.add(event)
            }
            watcher.onChange { connector.recheck() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { await connector.run() }
                group.addTask { await watcher.run() }
                await world.log.wait { $0.legs == 1 }
                try await eventually { heard.has("began") }
                try await body(Scene(world: world, log: log, heard: heard, connector: connector, watcher: watcher))
            }
        }
    }

    @Test("archiving the authority cuts what stands on its certificates, and no call begins on them")
    func archived() async throws {
        try await run { scene in
            let (world, authority) = (scene.world, try RegistrationLog.authority(scene.world.tunnelAuthority.certificatePEM))
            let (running, _) = try await TunnelClient.events(world, as: try world.runtime())
            var idle = try await TunnelClient.open(world, .splice, as: try world.runtime())
            #expect(try await idle.call("GET", "/head").status == 200)
            let start = ContinuousClock.now
            scene.register(.certificateArchived(fingerprint: authority.fingerprint))
            await running.isCut(within: .seconds(30))
            await idle.isCut(within: .seconds(30))
            print("archiving an authority has cut its calls after \(ContinuousClock.now - start)")
            await world.log.wait { $0.refusals.contains("authority_archived") }
            var again = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let answer = try await again.call("GET", "/head")
            #expect(answer.status == 503 && answer.body.contains("authority_archived"))
            again.stream.close()
            #expect(world.log.events.contains { if case .cut(2) = $0 { true } else { false } })
        }
    }

    @Test("an edge that tells of news that is none, or that it has forged, cuts nothing")
    func forgedNews() async throws {
        try await run { scene in
            let world = scene.world
            let authority = try RegistrationLog.authority(world.tunnelAuthority.certificatePEM)
            var (running, body) = try await TunnelClient.events(world, as: try world.runtime())
            // Its own head over a log in which the authority is archived.
            let forger = P256.Signing.PrivateKey()
            scene.log.twist { answer in
                let entries = [
                    RegistrationEntry(tunnelID: TunnelWorld.tunnelID, at: 1, .tunnel(.signed, certificates: [authority], connectorKeys: [])).encoded,
                    RegistrationEntry(tunnelID: TunnelWorld.tunnelID, at: 2, .certificateArchived(fingerprint: authority.fingerprint)).encoded,
                ]
                return try RegistrationAnswer(log: entries, tunnelID: TunnelWorld.tunnelID, since: 0, time: answer.head.time, key: forger)
            }
            world.directory.change(TunnelWorld.tunnelID) { $0.registrations += 1 }
            try await eventually { scene.heard.has("unanswered") }
            scene.log.twist { $0 }
            scene.register(.connectorKeyEnrolled(fingerprint: "f1"))
            try await eventually { scene.heard.has("connector_key_enrolled") }
            world.upstream.go.open()
            #expect(try await running.piece(&body) == "data: 2\n\n")
            #expect(!world.log.events.contains { if case .cut = $0 { true } else { false } })
            running.stream.close()
        }
    }

    @Test("two authorities take turns under calls that run, and none is lost")
    func rotation() async throws {
        try await run { scene in
            let world = scene.world
            var (running, body) = try await TunnelClient.events(world, as: try world.runtime())
            var idle = try await TunnelClient.open(world, .splice, as: try world.runtime())
            #expect(try await idle.call("GET", "/head").status == 200)
            // The second authority counts, since the first has signed for it.
            let first = try RegistrationLog.authority(world.tunnelAuthority.certificatePEM)
            let made = try ConnectorCertificates.authority(domain: TunnelWorld.domain, now: Date())
            let second = try RegistrationLog.authority(made.certificatePEM)
            let statement = try RegistrationStatement.sign(
                tunnelID: TunnelWorld.tunnelID, purpose: .certificate, subject: second.fingerprint, time: RegistrationLog.now,
                with: .init(pemEncoded: world.tunnelAuthority.keyPEM))
            scene.register(.certificateAdded(second, countsAt: RegistrationLog.now, statement))
            try await eventually { scene.heard.has("certificate_added") }
            let server = try ConnectorCertificates.server(domain: TunnelWorld.domain, authority: made, now: Date())
            try await scene.reload(["server.pem": server.certificatePEM, "server.key": server.keyPEM])
            // Who comes now, and believes the second alone, is served; who is there already is asked to come back, after its call.
            var next = try await TunnelClient.open(world, .splice, as: try world.runtime(), authority: made.certificatePEM)
            #expect(try await next.call("GET", "/head").status == 200)
            let answer = try await idle.call("GET", "/head")
            #expect(answer.status == 200 && answer.head.fields.named("connection").map(\.text) == ["close"])
            #expect(try await idle.stream.read(within: .seconds(30)) == nil)
            idle.stream.close()
            #expect(!world.log.events.contains { if case .certificateUnused = $0 { true } else { false } })
            world.upstream.go.open()
            #expect(try await running.piece(&body) == "data: 2\n\n")
            #expect(try await running.piece(&body) == nil)
            running.stream.close()
            // The connector says when nobody stands on the first any more.
            await world.log.wait { $0.events.contains { if case .certificateUnused = $0 { true } else { false } } }
            scene.register(.certificateArchived(fingerprint: first.fingerprint))
            try await eventually { scene.heard.has("certificate_archived") }
            #expect(try await next.call("GET", "/head").status == 200)
            next.stream.close()
            #expect(world.log.refusals.isEmpty && !world.log.events.contains { if case .cut = $0 { true } else { false } })
        }
    }
}
