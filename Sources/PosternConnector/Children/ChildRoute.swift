import NIOCore
import NIOPosix
import PosternHTTP
import PosternMCP
import PosternTunnelLink
import PosternTunnelWire
import Synchronization

/// A route whose upstream is a stdio server: its sessions, each with a child of its own, and whose they are.
final class ChildRoute: Sendable {
    private enum Job: Sendable {
        case connection(ByteStream, RuntimeIdentity)
        case child(ChildSession, ChildSession.Start)
    }

    private struct State {
        var sessions: ServerSessions<RuntimeIdentity>
        var running: [String: ChildSession] = [:]
        /// The session of those callers who have none by name (2026-07-28).
        var alone: [RuntimeIdentity: String] = [:]
        var nextNumber = 1
        /// Whether the server knows nothing of 2026-07-28.
        var isOld = false
        /// Connections that are served, or will be.
        var connections = 0
        var isRetired = false
    }

    let name: String
    let times: ConnectorTimes
    private let settings: ChildSettings
    private let secrets: [ChildSecret]
    private let launcher: any ChildLauncher
    private let group: any EventLoopGroup
    private let observe: @Sendable (ConnectorEvent) -> Void
    private let state: Mutex<State>
    private let jobs = AsyncStream<Job>.makeStream()

    init(
        _ name: String, _ settings: ChildSettings, secrets: [ChildSecret], launcher: any ChildLauncher, times: ConnectorTimes,
        group: any EventLoopGroup, observe: @escaping @Sendable (ConnectorEvent) -> Void
    ) {
        (self.name, self.settings, self.secrets, self.launcher) = (name, settings, secrets, launcher)
        (self.times, self.group, self.observe) = (times, group, observe)
        let bounds = settings.sessions
        state = Mutex(State(sessions: ServerSessions(most: bounds.most, mostOfOwner: bounds.perCaller, idleTime: bounds.idleSeconds * 1000)))
    }

    /// Whether it starts servers by that command, with these secrets.
    func serves(_ settings: ChildSettings, _ secrets: [ChildSecret]) -> Bool { settings == self.settings && secrets == self.secrets }

    /// Takes no further connections; `run` ends when those that are there have.
    func retire() {
        let isOver = state.withLock { state in
            state.isRetired = true
            return state.connections == 0
        }
        if isOver { jobs.continuation.finish() }
    }

    private func connectionEnded() {
        let isOver = state.withLock { state in
            state.connections -= 1
            return state.isRetired && state.connections == 0
        }
        if isOver { jobs.continuation.finish() }
    }

    /// Serves until it is cancelled, or retired; its children have ended then.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { [self] in await endIdle() }
            for await job in jobs.stream {
                group.addTask { [self] in
                    switch job {
                    case .connection(let stream, let identity):
                        await ChildConnection(stream: stream, owner: Self.owner(identity), route: self).run()
                        connectionEnded()
                    case .child(let session, let start): await child(session, start)
                    }
                }
            }
            group.cancelAll()
        }
        jobs.continuation.finish()
    }

    /// A connection for the requests of that caller, and of nobody else.
    func connect(for identity: RuntimeIdentity) async throws(CallError) -> UpstreamLink {
        do {
            let (near, far) = try await StreamPair.make(on: group)
            let isTaken = state.withLock { state in
                if !state.isRetired { state.connections += 1 }
                return !state.isRetired
            }
            guard isTaken, case .enqueued = jobs.continuation.yield(.connection(far, identity)) else {
                near.close()
                far.close()
                throw CallError.upstreamConnection("the route is ending")
            }
            return UpstreamLink(reader: MessageReader(near))
        } catch {
            throw error as? CallError ?? .upstreamConnection("\(error)")
        }
    }

    /// Who has a session: all that the certificate says of its holder, but for the routes that it opens, which may differ from one to the next.
    private static func owner(_ identity: RuntimeIdentity) -> RuntimeIdentity {
        var owner = identity
        owner.routes = []
        return owner
    }

    private static func seconds() -> Double { Double(NIODeadline.now().uptimeNanoseconds) / 1e9 }

    private static func milliseconds() -> Int { Int(NIODeadline.now().uptimeNanoseconds / 1_000_000) }

    // MARK: Sessions

    /// 128 bits that nobody guesses, in hexadecimal.
    private static func newID() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<2).map { _ in
            let digits = String(UInt64.random(in: .min ... .max, using: &generator), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// A new session, in use.
    func open(_ owner: RuntimeIdentity, _ era: Era) throws(ServerRefusal) -> (id: String, session: ChildSession) {
        let now = Self.milliseconds()
        let id = Self.newID()
        let result: Result<(ChildSession, ChildSession?), ServerSessions<RuntimeIdentity>.Refusal> = state.withLock { state in
            do throws(ServerSessions<RuntimeIdentity>.Refusal) {
                let given = try state.sessions.open(id, of: owner, at: now).flatMap { Self.forget($0, &state) }
                return .success((make(id, owner, era, now, &state), given))
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success((let session, let given)):
            given?.end(Self.unknownSession)
            return (id, session)
        case .failure(.tooManyOfCaller):
            throw ServerRefusal(429, "this caller has \(settings.sessions.perCaller) sessions in use: end one", retryAfter: 10)
        case .failure(.tooMany): throw ServerRefusal(503, "the route has as many sessions as it may", retryAfter: 30)
        }
    }

    private func make(_ id: String, _ owner: RuntimeIdentity, _ era: Era, _ now: Int, _ state: inout State) -> ChildSession {
        _ = state.sessions.enter(id, of: owner, at: now)
        let session = ChildSession(number: state.nextNumber, era: era, seconds: Self.seconds) { [jobs] session, start in
            if case .enqueued = jobs.continuation.yield(.child(session, start)) { true } else { false }
        }
        state.nextNumber += 1
        state.running[id] = session
        return session
    }

    /// Another caller's session is as unknown as one that never was.
    static let unknownSession = ServerRefusal(404, "there is no such session, or it has ended: begin with initialize")

    /// The session of that caller, in use from here to `leave`.
    func enter(_ id: String, _ owner: RuntimeIdentity) throws(ServerRefusal) -> ChildSession {
        let session = state.withLock { state in
            guard let session = state.running[id], session.era == .handshake, state.sessions.enter(id, of: owner, at: Self.milliseconds()) else {
                return ChildSession?.none
            }
            return session
        }
        guard let session else { throw Self.unknownSession }
        return session
    }

    /// The server of a caller without sessions, in use from here to `leave`.
    func enterAlone(_ owner: RuntimeIdentity) throws(ServerRefusal) -> (id: String, session: ChildSession) {
        let known = state.withLock { state -> (String, ChildSession)? in
            guard let id = state.alone[owner], let session = state.running[id], state.sessions.enter(id, of: owner, at: Self.milliseconds()) else {
                return nil
            }
            return (id, session)
        }
        if let known { return known }
        let (id, session) = try open(owner, .modern)
        let other = state.withLock { state -> (String, ChildSession)? in
            // Another request of the same caller may have been quicker.
            if let other = state.alone[owner], let session = state.running[other], state.sessions.enter(other, of: owner, at: Self.milliseconds()) {
                return (other, session)
            }
            state.alone[owner] = id
            return nil
        }
        guard let other else { return (id, session) }
        end(id, Self.unknownSession)
        return other
    }

    func leave(_ id: String) { state.withLock { $0.sessions.leave(id, at: Self.milliseconds()) } }

    func end(_ id: String, _ reason: ServerRefusal) { state.withLock { Self.forget(id, &$0) }?.end(reason) }

    private static func forget(_ id: String, _ state: inout State) -> ChildSession? {
        state.sessions.end(id)
        if let owner = state.alone.first(where: { $0.value == id })?.key { state.alone[owner] = nil }
        return state.running.removeValue(forKey: id)
    }

    /// Whether the server was seen to know nothing of 2026-07-28, so that nobody starts one to ask it again.
    var isOld: Bool {
        get { state.withLock { $0.isOld } }
        set { state.withLock { $0.isOld = newValue } }
    }

    private func endIdle() async {
        let pause = min(max(Double(settings.sessions.idleSeconds) / 4, 0.5), 30)
        while (try? await Task.sleep(for: .seconds(pause))) != nil {
            let idle = state.withLock { state in state.sessions.takeIdle(at: Self.milliseconds()).compactMap { Self.forget($0, &state) } }
            for session in idle { session.end(Self.unknownSession) }
        }
    }

    // MARK: Children

    private func child(_ session: ChildSession, _ start: ChildSession.Start) async {
        let (route, number, observe) = (name, session.number, observe)
        let talk = ChildTalk(session: session, secrets: secrets.map(\.value), startTime: times.child) { event in
            observe(.child(route: route, number: number, event))
        }
        let began = Self.seconds()
        let order = ChildOrder(route: name, number: number, settings: settings, secrets: secrets)
        let reason: String
        do throws(ChildFailure) {
            reason = try await launcher.run(order) { pipes in await talk.run(pipes, start) }
        } catch {
            reason = "\(error)"
            talk.cause.withLock { $0 = $0 ?? ServerRefusal(502, "the server of this route could not be started") }
        }
        let lived = Self.seconds() - began
        observe(.child(route: route, number: number, .ended(reason: reason, seconds: Int(lived))))
        let cause = talk.cause.withLock { $0 } ?? ServerRefusal(502, "the server of this route ended (\(reason)) while the call ran")
        session.childEnded(start, cause, lived: lived)
    }
}
