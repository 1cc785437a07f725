import Crypto
import Foundation
import NIOCore
import NIOSSL
import PosternConnector
import PosternEdge
import PosternHTTP
import PosternJSON
import PosternTunnelLink
import PosternTunnelWire
import SwiftASN1
import Synchronization
import Testing
import X509

/// A connector that watches its tunnel's log through a real edge, which may be hostile, while calls go on.
@Suite("Registrations, end to end", .timeLimit(.minutes(2)))
struct RegistrationTests {
    private final class Events: Sendable {
        private let seen = Mutex<[String]>([])
        func add(_ event: RegistrationEvent) {
            let text =
                switch event {
                case .began: "began"
                case .registered(let news, let isForeign): "\(news.type)\(isForeign ? " foreign" : "")"
                case .unanswered: "unanswered"
                case .repeated: "repeated"
                case .refusing(let refusal): refusal.reason.rawValue
                case .resumed: "resumed"
                case .notKept(let reason): "not kept: \(reason)"
                }
            seen.withLock { $0.append(text) }
        }
        var all: [String] { seen.withLock { $0 } }
    }

    /// Runs `body` beside a world whose connector watches `log`; `call` says what a caller gets.
    private func run(
        staleHours: Int = 24, knownKeys: [String]? = nil, interval: Duration = .milliseconds(20),
        _ body:
            @escaping @Sendable (
                _ world: TunnelWorld, _ log: RegistrationLog, _ watcher: RegistrationWatcher, _ events: Events, _ stateFile: String,
                _ call: @escaping @Sendable () async throws -> String
            ) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("registrations-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let stateFile = folder.appendingPathComponent("registrations.json").path
        var options = TunnelWorld.Options()
        options.legs = 1
        try await TunnelWorld(options).runParts(connects: false) { [options] world in
            let (log, events) = (RegistrationLog(), Events())
            log.append(.tunnel(.signed, certificates: [], connectorKeys: []))
            log.append(
                .certificateAdded(
                    try RegistrationLog.authority(world.tunnelAuthority.certificatePEM), countsAt: Int(log.date.timeIntervalSince1970), nil))
            world.directory.answerRegistrations { try log.answer($0) }
            var (configuration, material) = try world.parts(options)
            configuration.registrations = .init(
                logKeyFile: "log.pem", stateFile: stateFile, ownerKeyFile: nil, refuseAfterHours: staleHours, intervalSeconds: 1)
            configuration.identity.knownKeys = knownKeys
            let pins = try #require(try RegistrationWatch.Pins(configuration, material) { _ in log.key.publicKey.pemRepresentation })
            let watcher = try RegistrationWatcher(
                pins, configuration, material, stateFile: stateFile, interval: interval, resolve: { _ in [] }, now: { log.date }
            ) { events.add($0) }
            let connector = try Connector(
                configuration, material, version: "test", resolve: { _ in [] }, registrations: { watcher.refusal() }, times: options.times,
                observe: { world.log.add($0) })
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { await connector.run() }
                group.addTask { await watcher.run() }
                await world.log.wait { $0.legs == 1 }
                try await eventually { events.all.contains("began") }
                try await body(world, log, watcher, events, stateFile) {
                    var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
                    defer { client.stream.close() }
                    let answer = try await client.call("GET", "/head")
                    return answer.status == 200 ? "200" : "\(answer.status) \((try JSON(parsing: answer.body))["reason"]?.string ?? "")"
                }
            }
        }
    }

    @Test("a rolled back log ends calls, on connections that stand too, until the operator accepts its head")
    func rollback() async throws {
        try await run { world, log, watcher, events, stateFile, call in
            #expect(try await call() == "200")
            var standing = try await TunnelClient.open(world, .splice, as: try world.runtime())
            #expect(try await standing.call("GET", "/head").status == 200)
            log.append(.connectorKeyEnrolled(fingerprint: "f1"))
            try await eventually { events.all.contains("connector_key_enrolled foreign") }
            #expect(try await call() == "200")
            log.change { $0.removeLast() }
            log.pass(2)
            try await eventually { events.all.contains("registration_fork") }
            #expect(try await call() == "503 registration_fork")
            #expect(try await standing.call("GET", "/head").status == 503)
            standing.stream.close()
            // Even when the control plane shows the right log again.
            log.append(.connectorKeyEnrolled(fingerprint: "f1"))
            log.pass(2)
            watcher.nudge()
            #expect(try await call() == "503 registration_fork")
            log.change { $0.removeLast() }
            let mode = try #require(try FileManager.default.attributesOfItem(atPath: stateFile)[.posixPermissions] as? Int)
            #expect(mode == 0o600)
            let kept = try JSON(parsing: Array(Data(contentsOf: URL(fileURLWithPath: stateFile))))
            let root = try #require(kept["alarm"]?["head"]?["root"]?.string)
            try Data("\(root)\n".utf8).write(to: URL(fileURLWithPath: stateFile + ".accepted"))
            try await eventually { events.all.last == "resumed" }
            #expect(try await call() == "200")
        }
    }

    @Test("an edge that changes what it passes, repeats it or keeps it back forges nothing: calls are refused until the truth comes")
    func hostileEdge() async throws {
        try await run { world, log, watcher, events, stateFile, call in
            #expect(try await call() == "200")
            let forger = P256.Signing.PrivateKey()
            let stranger = try ConnectorCertificates.authority(domain: TunnelWorld.domain, now: Date())
            let forged = try RegistrationLog.authority(stranger.certificatePEM)
            let twists: [@Sendable (RegistrationAnswer) throws -> RegistrationAnswer] = [
                { answer in
                    // Its own log, with its own key.
                    let entries = [
                        RegistrationEntry(tunnelID: TunnelWorld.tunnelID, at: 1, .tunnel(.api, certificates: [forged], connectorKeys: [])).encoded
                    ]
                    return try RegistrationAnswer(log: entries, tunnelID: TunnelWorld.tunnelID, since: 0, time: answer.head.time, key: forger)
                },
                { answer in
                    var answer = answer
                    answer.head.root[0] ^= 1
                    return answer
                },
                { answer in
                    var answer = answer
                    answer.head.size += 1
                    answer.entries.append(Array("{}".utf8))
                    return answer
                },
            ]
            for (index, twist) in twists.enumerated() {
                log.twist(twist)
                try await eventually { events.all.filter { $0 == "registration_unproven" }.count == index + 1 }
                #expect(try await call() == "503 registration_unproven")
                log.twist { $0 }
                try await eventually { events.all.filter { $0 == "resumed" }.count == index + 1 }
                #expect(try await call() == "200")
            }
            log.append(.connectorKeyEnrolled(fingerprint: "f1"))
            try await eventually { events.all.contains("connector_key_enrolled foreign") }
            // Kept back: nothing for a time, and then no more calls.
            log.twist { _ in throw EdgeDirectoryError("kept back") }
            let before = events.all.count
            try await eventually { events.all.dropFirst(before).contains("unanswered") }
            #expect(try await call() == "200")
            log.pass(24 * 3600 + 1)
            #expect(try await call() == "503 registration_stale")
            log.twist { $0 }
            try await eventually { events.all.last == "resumed" }
            #expect(try await call() == "200")
        }
    }

    @Test("after an answer that did not fit, the next one is asked for soon, however seldom it is asked else")
    func doubtIsShort() async throws {
        try await run(interval: .seconds(3600)) { _, log, watcher, events, _, call in
            log.twist { answer in
                var answer = answer
                answer.head.root[0] ^= 1
                return answer
            }
            watcher.nudge()
            try await eventually { events.all.contains("registration_unproven") }
            log.twist { $0 }
            try await eventually { events.all.last == "resumed" }
            #expect(try await call() == "200")
        }
    }

    @Test("an authority that nobody has signed for is told, and ends calls when callers are given it")
    func unknownAuthority() async throws {
        try await run { world, log, watcher, events, stateFile, call in
            let stranger = try RegistrationLog.authority(try ConnectorCertificates.authority(domain: TunnelWorld.domain, now: Date()).certificatePEM)
            log.append(.certificateAdded(stranger, countsAt: Int(log.date.timeIntervalSince1970) + 86_400, nil))
            try await eventually { events.all.contains("certificate_added") }
            #expect(try await call() == "200")
            log.pass(86_401)
            #expect(["503 unknown_authority", "503 registration_stale"].contains(try await call()))
            try await eventually { events.all.contains("unknown_authority") }
            #expect(try await call() == "503 unknown_authority")
            log.append(.certificateArchived(fingerprint: stranger.fingerprint))
            try await eventually { events.all.last == "resumed" }
            let next = try RegistrationLog.authority(try ConnectorCertificates.authority(domain: TunnelWorld.domain, now: Date()).certificatePEM)
            let statement = try RegistrationStatement.sign(
                tunnelID: TunnelWorld.tunnelID, purpose: .certificate, subject: next.fingerprint, time: Int(log.date.timeIntervalSince1970),
                with: .init(pemEncoded: world.tunnelAuthority.keyPEM))
            log.append(.certificateAdded(next, countsAt: Int(log.date.timeIntervalSince1970), statement))
            try await eventually { events.all.filter { $0 == "certificate_added" }.count == 2 }
            #expect(try await call() == "200")
        }
    }

    @Test("a foreign connector key ends calls where the known ones are named")
    func foreignKey() async throws {
        try await run(knownKeys: []) { world, log, watcher, events, stateFile, call in
            log.append(.connectorKeyEnrolled(fingerprint: "f1"))
            try await eventually { events.all.contains("unknown_connector_key") }
            #expect(try await call() == "503 unknown_connector_key")
            log.append(.connectorKeyRevoked(fingerprint: "f1"))
            try await eventually { events.all.last == "resumed" }
        }
    }

    @Test("the log is passed to keys of the tunnel, and to nobody else")
    func whoMayAsk() async throws {
        try await run { world, log, watcher, events, stateFile, call in
            var stranger = try world.parts(world.options)
            let made = try ConnectorCertificates.connector(now: Date())
            let files = [
                "edge-ca.pem": world.edgeAuthority.made.certificatePEM, "connector.key": made.keyPEM, "connector.pem": made.certificatePEM,
                "server.pem": world.serverCertificate.certificatePEM, "server.key": world.serverCertificate.keyPEM, "token": "x",
                "runtime-ca.pem": try world.runtimeAuthority.certificatePEM,
            ]
            stranger.1 = try ConnectorMaterial(stranger.0, now: Date()) { path, _ in files[path] }
            let pins = RegistrationWatch.Pins(
                tunnelID: TunnelWorld.tunnelID, logKey: log.key.publicKey, server: nil, ownerKey: nil, connectorKey: "x", knownKeys: nil,
                staleAfter: 0)
            let heard = Mutex<[String]>([])
            let other = try RegistrationWatcher(
                pins, stranger.0, stranger.1, stateFile: stateFile + ".other", interval: .milliseconds(20), resolve: { _ in [] }
            ) { event in
                if case .unanswered(_, let reason) = event { heard.withLock { $0.append(reason) } }
                if case .began = event { heard.withLock { $0.append("began") } }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await other.run() }
                try await eventually { !heard.withLock { $0.isEmpty } }
                group.cancelAll()
            }
            #expect(heard.withLock { $0.first?.contains("not enrolled") == true })
        }
    }

    @Test("an edge that gives false entries under a true head and then drips holds nothing up beside a good one, and no call is refused for it")
    func drippingEdge() async throws {
        try await run { world, log, _, _, stateFile, _ in
            let pins = RegistrationWatch.Pins(
                tunnelID: TunnelWorld.tunnelID, logKey: log.key.publicKey,
                server: try Certificate(pemEncoded: world.serverCertificate.certificatePEM),
                ownerKey: nil, connectorKey: "x", knownKeys: nil, staleAfter: 0)
            let events = Events()
            let watching = Mutex<RegistrationWatcher?>(nil)
            let refusals = Mutex<[RegistrationRefusal?]>([])
            let serve: @Sendable (ByteStream, RegistrationRequest) async throws -> Void = { stream, request in
                if request.since > 0 {
                    // Only so does the log grow, and so this edge is the first that tells of it.
                    log.append(.connectorKeyEnrolled(fingerprint: UUID().uuidString))
                    var answer = try RegistrationAnswer(json: try log.answer(request.since))
                    answer.entries.removeLast()
                    try await stream.write(JSONAnswer.encoded(status: 200, json: answer.json))
                    return await stream.closeGently()
                }
                if let watcher = watching.withLock({ $0 }) { refusals.withLock { $0.append(watcher.refusal()) } }
                try await stream.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"))
                while true {
                    try await stream.write(ByteBuffer(string: "["))
                    try await Task.sleep(for: .milliseconds(10))
                }
            }
            try await RegistrationEdge.run(world, serve: serve) { port in
                var (configuration, material) = try world.parts(world.options)
                configuration.edges.addresses += try world.parts(edge: port, world.options).0.edges.addresses
                var times = ConnectorTimes()
                times.registrations = .seconds(2)
                let watcher = try RegistrationWatcher(
                    pins, configuration, material, stateFile: stateFile + ".other", interval: .milliseconds(20), resolve: { _ in [] }, times: times
                ) { events.add($0) }
                watching.withLock { $0 = watcher }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    defer { group.cancelAll() }
                    group.addTask { await watcher.run() }
                    // On a busy machine a round may end before the whole log was asked for.
                    try await eventually { events.all.contains("connector_key_enrolled foreign") && refusals.withLock { !$0.isEmpty } }
                }
            }
            #expect(events.all.contains("unanswered"))
            #expect(refusals.withLock { $0.allSatisfy { $0 == nil } })
        }
    }

    @Test("a connector key has two requests for registrations at a time, and who does not read the answer is cut")
    func places() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.stall = .seconds(3)
        try await TunnelWorld(options).runParts(connects: false) { world in
            // More than the kernel takes for a peer that does not read.
            world.directory.answerRegistrations { $0 == 1 ? .string(String(repeating: "x", count: 12 << 20)) : [:] }
            let certificate = try NIOSSLCertificate(bytes: Array(world.connectorKey.certificatePEM.utf8), format: .pem)
            let key = try NIOSSLPrivateKey(bytes: Array(world.connectorKey.keyPEM.utf8), format: .pem)
            let ask: @Sendable (Int) async throws -> ByteStream = { since in
                let stream = try await TunnelClient.dial(world.port)
                try await TunnelClient.outer(stream, world, certificate: certificate, key: key)
                try await stream.write(RegistrationRequest(tunnelID: TunnelWorld.tunnelID, since: since).encoded(host: TunnelWorld.edgeName))
                return stream
            }
            let answer: @Sendable () async throws -> TunnelClient.Answer = {
                let stream = try await ask(0)
                defer { stream.close() }
                var reader = MessageReader(stream)
                return try await TunnelClient.read(&reader, method: "GET")
            }
            try await eventually { try await answer().status == 200 }
            let held = [try await ask(1), try await ask(1)]
            try await eventually { try await answer().body.contains("run already") }
            // Theirs are open still.
            try await eventually { try await answer().status == 200 }
            for stream in held { stream.close() }
        }
    }
}
