import Foundation
import PosternConnector
import PosternTunnelLink
import Synchronization

/// Which ends are put on a stage instead of the real ones.
struct Weakness: Sendable {
    /// Instead of the runtime.
    var client: NaiveClient?
    /// A naive connector instead of the real one.
    var connector = false
    /// Seconds that the real connector's clock is off.
    var connectorClock: TimeInterval = 0
    /// Seconds that the real runtime's clock is off.
    var runtimeClock: TimeInterval = 0

    /// Both ends without inner TLS, taking what is cut for whole.
    static let plain = Weakness(client: NaiveClient(isPlain: true, takesCut: true), connector: true)
    var isPlain: Bool { client?.isPlain == true }
}

/// A value that a stage's tries share.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>
    init(_ value: Value) { self.value = Mutex(value) }
    func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result { value.withLock { body(&$0) } }
}

/// Everything that one attack needs: a runtime, a connector with an upstream, and the hostile edge between them.
struct Stage: Sendable {
    let world: TunnelWorld
    let edge: HostileEdge
    let ends: Ends
    let forgery: Forgery
    /// Of whole calls in bytes, once they are known.
    let lengths = Shared<[Direction: Int]>([:])
    /// `nil` for the real ends.
    var weakness: Weakness?
    private let runtime: RealRuntime

    private init(_ weakness: Weakness?) async throws {
        world = try await TunnelWorld()
        edge = try await HostileEdge(world)
        ends = Ends(world.upstream)
        forgery = try Forgery(world)
        self.weakness = weakness
        runtime = try RealRuntime(world)
    }

    /// Runs `body` with a connector whose legs stand; everything ends with it.
    static func run(_ weakness: Weakness?, _ body: @escaping @Sendable (Stage) async throws -> Void) async throws {
        let stage = try await Stage(weakness)
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await stage.edge.run() }
            group.addTask { try await stage.world.upstream.run() }
            group.addTask { try await stage.connect() }
            for index in 0..<stage.world.options.legs { _ = await stage.edge.leg("host/\(index)") }
            try await body(stage)
        }
    }

    private func connect() async throws {
        if weakness?.connector == true { return try await NaiveConnector(world, isPlain: weakness?.isPlain == true).run(edge: edge.legPort) }
        let (configuration, material) = try world.parts(edge: edge.legPort, world.options)
        let (log, skew) = (world.log, weakness?.connectorClock ?? 0)
        try await Connector(
            configuration, material, version: "test", resolve: { _ in [] }, now: { Date() + skew }, observe: { log.add($0) }
        ).run()
    }

    // MARK: Calls

    /// One call of the runtime past the hostile edge, on a connection of its own.
    func call(_ call: Call = Call()) async -> Outcome {
        ends.send(call)
        do {
            return Outcome(call: call, result: .success(try await answer(call)))
        } catch {
            return Outcome(call: call, result: .failure(.init(text: "\(error)")))
        }
    }

    private func answer(_ call: Call) async throws -> String {
        if let client = weakness?.client { return try await client.call(call, world, port: edge.callPort) }
        return try await runtime.call(call, port: edge.callPort, skew: weakness?.runtimeClock ?? 0)
    }

    /// What connector and upstream have noted so far.
    var noted: Int { world.log.errors.count + world.upstream.now.bodies }

    /// Returns when they have noted something more, or five seconds are over.
    func settle(after before: Int) async {
        let deadline = ContinuousClock.now + .seconds(5)
        while noted == before, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(2)) }
    }

    /// A call that the edge itself makes of the connector, with a certificate from somewhere.
    func intrude(_ caller: TunnelWorld.Caller) async -> Outcome {
        let call = Call()
        do {
            edge.strike()
            var client = try await TunnelClient.open(world, .splice, as: caller, port: edge.callPort)
            defer { client.stream.close() }
            let answer = try await client.call("POST", Call.path, body: call.body, fields: "X-Token: \(call.token)\r\n")
            return Outcome(call: call, result: .success(answer.body))
        } catch {
            return Outcome(call: call, result: .failure(.init(text: "\(error)")))
        }
    }
}
