import NIOCore
import PosternPolicy
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The forwards of one session in a proxy process.
final class SessionForwards: Sendable {
    private struct Running {
        var stops: [AsyncStream<Never>.Continuation] = []
        var isAllowed = true
    }
    private let running: Mutex<[String: Running]>
    private let passwords: ForwardPasswords
    private let handlers: [String: NarrowingForward]
    private let context: SessionContext
    private let group: any EventLoopGroup

    /// - Parameters:
    ///   - digestKey: the audit's key for digests of statements.
    ///   - dialer: leads to the targets directly: a corporate proxy is the way to the Internet, not to a database beside it.
    init(_ forwards: [ForwardConfiguration], digestKey: [UInt8], _ context: SessionContext, dialer: Dialer, group: any EventLoopGroup) throws {
        self.context = context
        self.group = group
        let passwords = ForwardPasswords()
        let audit = ForwardReporter(context)
        let dial: ForwardDial = { try await dialer.connect(to: $0, context.policy.addresses) }
        var handlers: [String: NarrowingForward] = [:]
        for one in forwards {
            let name = one.forward.name
            passwords.set(name, one.password)
            handlers[name] = try NarrowingForward(one.forward) { forward in
                if let opaque = TCPForward(forward, dial: dial, audit: audit) { return opaque }
                return try PostgresForward(
                    forward, authorities: one.authorities.map { Array($0.utf8) }, digestKey: digestKey, dial: dial, audit: audit,
                    password: { passwords.value(name) })
            }
        }
        self.passwords = passwords
        self.handlers = handlers
        running = Mutex(handlers.mapValues { _ in Running() })
    }

    /// Serves the forward `name` on `descriptor`, which it owns, until the task is cancelled or the policy has the forward no more.
    func serve(_ name: String, descriptor: Int32) async throws {
        let (stopped, stop) = AsyncStream<Never>.makeStream()
        let isAllowed = running.withLock { running in
            guard running[name]?.isAllowed == true else { return false }
            running[name]?.stops.append(stop)
            return true
        }
        guard isAllowed, let handler = handlers[name] else {
            _ = close(descriptor)
            throw UnknownForward(name: name)
        }
        let server = ForwardServer(handler, gate: context.gate, group: group, logger: context.logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await server.run(descriptor: descriptor) }
            tasks.addTask { for await _ in stopped {} }
            // Whichever ends first ends the other; being stopped is no error.
            _ = try await tasks.next()
            tasks.cancelAll()
            while let result = await tasks.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
        }
    }

    /// Cuts every forward that is not among `forwards`; it does not come back. One whose bounds are narrower there has them from now on,
    /// and its connections of before are cut.
    func keep(only forwards: [Forward]) {
        var names: Set<String> = []
        for (name, handler) in handlers {
            if let forward = forwards.first(where: { $0.name == name }), handler.narrow(to: forward) { names.insert(name) }
        }
        cut(allBut: names)
    }

    private func cut(allBut names: Set<String>) {
        let stops = running.withLock { running in
            var stops: [AsyncStream<Never>.Continuation] = []
            for name in Array(running.keys) where !names.contains(name) {
                running[name]?.isAllowed = false
                stops += running[name]?.stops ?? []
                running[name]?.stops = []
            }
            return stops
        }
        for stop in stops { stop.finish() }
    }

    /// The password of forward `name` from now on; `nil` withdraws it. Sessions that are logged in stay.
    func setPassword(_ name: String, _ value: SecretValue?) { passwords.set(name, value) }
}

struct UnknownForward: Error, CustomStringConvertible {
    var name: String
    var description: String { "the policy has no forward \"\(name)\", or no more" }
}

/// The passwords of a session's forwards, which change while it runs.
private final class ForwardPasswords: Sendable {
    private let values = Mutex<[String: SecretValue]>([:])

    func set(_ name: String, _ value: SecretValue?) { values.withLock { $0[name] = value } }
    func value(_ name: String) -> SecretValue? { values.withLock { $0[name] } }
}
