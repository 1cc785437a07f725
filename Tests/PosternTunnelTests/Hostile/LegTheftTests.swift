import Crypto
import Foundation
import NIOCore
import NIOSSL
import PosternConnector
import PosternEdge
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire
import Synchronization
import Testing

/// Attacks on the registration of legs, against a real edge: by somebody who has stolen a tunnel token, and by somebody who has not.
@Suite("Stolen and forged legs", .timeLimit(.minutes(20)))
struct LegTheftTests {
    /// Tries of each attack; 1,000 with POSTERN_FULL=1.
    private static let tries = ProcessInfo.processInfo.environment["POSTERN_FULL"] != nil ? 1000 : 100

    private static func say(_ name: String, _ accepted: Int) {
        print("attacks of a hostile edge: \(name): \(tries) tries, \(accepted) accepted")
        fflush(nil)
    }

    @Test("who enrols a key with a stolen token gets calls, and can neither read nor answer them", arguments: [false, true])
    func stolenToken(isWeak: Bool) async throws {
        try await TunnelWorld().runParts(connects: false) { world in
            let runtime = try RealRuntime(world)
            let ends = Ends(world.upstream)
            let forgery = try Forgery(world)
            var accepted = 0
            for _ in 0..<(isWeak ? 1 : Self.tries) {
                let thief = try Thief(world)
                let leg = try await thief.dial(token: TunnelWorld.token, leg: "thief/0", answering: forgery.own)
                let call = Call()
                ends.send(call)
                let outcome =
                    isWeak
                    ? Outcome(call: call, result: .success(try await NaiveClient().call(call, world, port: world.port)))
                    : await runtime.outcome(call, port: world.port)
                if !ends.violations([outcome], edge: thief.seen).isEmpty { accepted += 1 }
                try await eventually { thief.calls == 1 }
                if !isWeak { #expect(outcome.error?.contains("\(CertificateRuleError.unknownAuthority)") == true, "\(outcome)") }
                leg.close()
                // The edge has noticed before the next leg comes.
                world.directory.change(TunnelWorld.tunnelID) { $0.connectorKeys = [] }
            }
            #expect(accepted == (isWeak ? 1 : 0))
            if !isWeak { Self.say("leg theft: a stolen token", accepted) }
        }
    }

    @Test("no leg is had with a forged enrolment", arguments: Forged.allCases)
    func forgedEnrolment(_ forged: Forged) async throws {
        try await TunnelWorld.run { world in
            let runtime = try RealRuntime(world)
            world.directory.setToken("tnlt_2", tunnelID: "tnl_2")
            world.directory.setToken("tnlt_old", tunnelID: TunnelWorld.tunnelID)
            world.directory.rotate("tnlt_old")
            let elsewhere = try Thief(world)
            world.directory.change { tunnels in
                tunnels.append(
                    .init(
                        id: "tnl_2", domain: "zz99zz99.tunnel.example.com", workspaceID: "wrkspc_2", splices: true,
                        connectorKeys: [elsewhere.fingerprint]))
            }
            let forgery = try Forgery(world)
            var accepted = 0
            for _ in 0..<Self.tries {
                let thief = forged == .keyOfAnotherTunnel ? elsewhere : try Thief(world)
                do {
                    _ = try await thief.dial(token: forged.token, leg: "host/0", answering: forgery.own)
                    accepted += 1
                } catch let refusal as LegRefusal {
                    #expect(refusal.reason == forged.refusal)
                }
            }
            #expect(accepted == 0)
            Self.say("forged enrolment: \(forged.rawValue)", accepted)
            // The connector has not noticed, and neither has its caller.
            let call = Call()
            #expect(await runtime.outcome(call, port: world.port).error == nil)
            #expect(world.log.legs == 2 && !world.log.events.contains { if case .legEnded = $0 { true } else { false } })
            // The same with a token that counts is a leg: what refuses it is the token.
            let leg = try await Thief(world).dial(token: TunnelWorld.token, leg: "thief/0", answering: forgery.own)
            leg.close()
        }
    }

    enum Forged: String, CaseIterable, Sendable {
        case noToken = "no token"
        case guessed = "a guessed token"
        case rotated = "a rotated token"
        case ofAnotherTunnel = "another tunnel's token"
        case keyOfAnotherTunnel = "another tunnel's key"

        var token: String? {
            switch self {
            case .noToken, .keyOfAnotherTunnel: nil
            case .guessed: "tnlt_\(UUID().uuidString)"
            case .rotated: "tnlt_old"
            case .ofAnotherTunnel: "tnlt_2"
            }
        }

        var refusal: LegRefusal.Reason {
            switch self {
            case .noToken, .ofAnotherTunnel, .keyOfAnotherTunnel: .notEnrolled
            case .guessed: .tokenUnknown
            case .rotated: .tokenRotated
            }
        }
    }

    @Test("a leg that takes another one's name takes its place with the same key only", arguments: [false, true])
    func stolenName(hasKey: Bool) async throws {
        var options = TunnelWorld.Options()
        options.hasToken = false
        try await TunnelWorld.run(options) { world in
            let forgery = try Forgery(world)
            let ended = { @Sendable in world.log.events.count { if case .legEnded = $0 { true } else { false } } }
            for _ in 0..<(hasKey ? 1 : Self.tries) {
                let thief = try Thief(world, key: hasKey ? world.connectorKey : nil)
                let leg = try await thief.dial(token: hasKey ? nil : TunnelWorld.token, leg: "host/0", answering: forgery.own)
                if hasKey {
                    // The same key is the same connector: its ghost goes. So it would be for everybody, were the key not looked at.
                    await world.log.wait { _ in ended() > 0 }
                    leg.close()
                    return
                }
                leg.close()
                await leg.ended()
            }
            let call = Call()
            #expect(try await RealRuntime(world).call(call, port: world.port) == call.body)
            #expect(ended() == 0 && world.log.legs == 2)
            Self.say("leg theft: another leg's name", ended())
        }
    }

    @Test("what a ghost says after its place was taken reaches nobody", arguments: [false, true])
    func ghost(isReplaced: Bool) async throws {
        var options = TunnelWorld.Options()
        options.legs = 1
        try await TunnelWorld(options).runParts(connects: false) { world in
            let runtime = try RealRuntime(world)
            let ends = Ends(world.upstream)
            let own = try Forgery.context(world.serverCertificate)
            var accepted = 0
            for _ in 0..<(isReplaced ? Self.tries : 1) {
                // The connector's own key and certificate, in a process that should be gone.
                let old = try Thief(world, key: world.connectorKey)
                let released = Gate()
                _ = try await old.dial(token: nil, leg: "host/0", answering: own, after: released)
                let call = Call()
                ends.send(call)
                let calling = Task { await runtime.outcome(call, port: world.port) }
                try await eventually { old.calls == 1 }
                let log = EventLog()
                var next = world.options
                next.name = isReplaced ? "host" : "another"
                let connector = try world.makeConnector(log: log, options: next)
                let running = Task { await connector.run() }
                await log.wait { $0.legs == 1 }
                // Where the ghost is replaced, its caller has heard of it before it speaks.
                if isReplaced {
                    let heard = await calling.value
                    #expect(heard.error?.contains("TLS ended without close_notify before an answer") == true, "\(heard)")
                }
                released.open()
                if !ends.violations([await calling.value], edge: []).isEmpty { accepted += 1 }
                running.cancel()
                await running.value
            }
            #expect(accepted == (isReplaced ? 0 : 1))
            if isReplaced { Self.say("ghost: an old leg goes on", accepted) }
        }
    }
}

/// Somebody who dials a leg with a key of his own, or a stolen one, and answers the calls that come over it.
private final class Thief: Sendable {
    private let world: TunnelWorld
    private let key: ConnectorCertificates.Made
    let fingerprint: String
    private let state = Mutex<(calls: Int, seen: [UInt8])>((0, []))

    init(_ world: TunnelWorld, key: ConnectorCertificates.Made? = nil) throws {
        self.world = world
        self.key = try key ?? ConnectorCertificates.connector(now: Date())
        fingerprint = try Self.fingerprint(of: self.key)
    }

    private static func fingerprint(of made: ConnectorCertificates.Made) throws -> String {
        try ConnectorKey(P256.Signing.PrivateKey(pemRepresentation: made.keyPEM).publicKey).fingerprint
    }

    /// Calls whose request it has got, read or not.
    var calls: Int { state.withLock { $0.calls } }
    /// What it could read.
    var seen: [UInt8] { state.withLock { $0.seen } }

    /// - Parameter after: what an answer waits for.
    func dial(token: String?, leg name: String, answering context: NIOSSLContext, after gate: Gate? = nil) async throws -> Leg {
        while true {
            do {
                return try await ask(token, name, context, gate)
            } catch let refusal as LegRefusal where refusal.reason == .unavailable {
                // The edge has not heard of its tunnels yet.
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    private func ask(_ token: String?, _ name: String, _ context: NIOSSLContext, _ gate: Gate?) async throws -> Leg {
        let stream = try await TunnelClient.dial(world.port)
        try await TunnelClient.outer(
            stream, world, certificate: try .init(bytes: Array(key.certificatePEM.utf8), format: .pem),
            key: try .init(bytes: Array(key.keyPEM.utf8), format: .pem))
        try await stream.write(
            LegRequest(tunnelID: TunnelWorld.tunnelID, leg: name, version: "thief", token: token).encoded(host: TunnelWorld.edgeName))
        var reader = MessageReader(stream)
        guard let lines = try await reader.head(idle: .seconds(10), whole: .seconds(10)) else { throw ChannelError.eof }
        let head = try ResponseHead(lines: lines)
        guard try LegAnswer.isAccepted(head) else {
            let (body, _) = await NaiveClient.body(&reader, try BodyFraming(response: head, to: "POST"))
            stream.close()
            throw LegAnswer.refusal(head, body: Array(body.utf8))
        }
        let events = Leg.Events(
            goAway: { _ in },
            call: { [self] call in
                // By itself, as a thief does not wait for his victims.
                Task {
                    try? await self.answer(call, context, gate)
                    call.stream.close()
                }
            })
        return try await Leg.begin(.connector, on: stream, rest: reader.takeBuffer(), events)
    }

    private func answer(_ call: LegCall, _ context: NIOSSLContext, _ gate: Gate?) async throws {
        call.accept()
        defer { if gate == nil { state.withLock { $0.calls += 1 } } }
        _ = try await call.stream.startTLS(within: .seconds(10)) { NIOSSLServerHandler(context: context) }
        guard let asked = try await call.stream.read(within: .seconds(10)) else { return }
        if let gate {
            state.withLock { $0.calls += 1 }
            await gate.wait()
        } else {
            state.withLock { $0.seen += asked.readableBytesView }
        }
        try await call.stream.write(ByteBuffer(string: HostileEdge.forgery))
        await call.stream.closeGently(within: .seconds(1))
    }
}
