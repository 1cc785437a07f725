import FoundationEssentials
import PosternTunnelLink
import PosternTunnelWire
import Synchronization
import X509

/// An inner connection as others see it: whose it is, what runs on it, and how to cut it.
final class LiveConnection: Sendable {
    let route: String
    let identity: RuntimeIdentity
    let certificate: Certificate
    /// The server certificate that the caller was shown, by its fingerprint.
    let server: String
    private let stream: ByteStream
    private let state: Mutex<State>
    private let cuts = AsyncStream<Void>.makeStream()

    private struct State {
        var call: RunningCall?
        var cause: CallError.Cut?
        /// The number of the snapshot that the certificate was held against last.
        var number: Int
    }

    /// A call that runs, as far as it matters whether it may go on.
    struct RunningCall: Sendable {
        var runtime: RouteRuntime
        /// What the policy of the route has let through; `nil` where there was nothing to judge.
        var body: RPCBody?
    }

    init(route: String, identity: RuntimeIdentity, certificate: Certificate, server: String, stream: ByteStream, number: Int) {
        state = Mutex(State(number: number))
        self.route = route
        self.identity = identity
        self.certificate = certificate
        self.server = server
        self.stream = stream
    }

    /// Why it was cut; `nil` where it was not.
    var cause: CallError.Cut? { state.withLock { $0.cause } }

    /// What runs on it now; `nil` between two calls.
    func runs(_ call: RunningCall?) { state.withLock { $0.call = call } }

    /// Ends the connection and what runs on it: the caller sees that it did not get all. The first cause counts.
    func cut(_ cause: CallError.Cut) {
        let isFirst = state.withLock { state in
            defer { state.cause = state.cause ?? cause }
            return state.cause == nil
        }
        guard isFirst else { return }
        stream.abort()
        cuts.continuation.finish()
    }

    /// Runs `body` until it is done or the connection is cut, which cancels it.
    func run(_ body: @escaping @Sendable () async -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask(operation: body)
            group.addTask { [cuts] in for await _ in cuts.stream {} }
            await group.next()
            group.cancelAll()
        }
    }

    /// Whether the certificate was held against `snapshot` already, which takes longer than all else of a small call.
    func wasHeld(against snapshot: ConnectorSnapshot) -> Bool { state.withLock { $0.number == snapshot.number } }

    /// Why `snapshot` does not let go on what runs here; `nil` where it does.
    func refusal(under snapshot: ConnectorSnapshot, now: Date) -> CallError.Cut? {
        guard let new = snapshot.routes[route] else { return .noLongerAllowed("the route was taken out") }
        do throws(RuntimeCertificateError) {
            let tunnel = snapshot.configuration.tunnel
            _ = try RuntimeCertificate.verify(
                certificate, authority: snapshot.material.runtimeAuthority, now: now, tunnelID: tunnel.id, workspaceID: tunnel.workspaceID)
        } catch {
            return error == .expired ? .certificateEnded : .noLongerAllowed("the caller's certificate does not count any more: \(error)")
        }
        state.withLock { $0.number = max($0.number, snapshot.number) }
        guard new.route.callers.allow(identity) else { return .noLongerAllowed("the route does not name the caller any more") }
        guard let call = state.withLock({ $0.call }) else { return nil }
        let old = call.runtime
        if new.route.answers.isNarrower(than: old.route.answers) { return .noLongerAllowed("the route lets less through in answers") }
        guard let policy = new.route.policy, policy != old.route.policy, policy.mode == .enforce else { return nil }
        // A call that was not read, or whose answers are messages that nobody has asked for, cannot be judged again.
        guard let body = call.body, let routeGuard = old.routeGuard else { return .noLongerAllowed("the route's policy has changed") }
        return routeGuard.refusal(of: body, from: identity, under: policy).map {
            .noLongerAllowed("the route's policy refuses the call (\($0.rule))")
        }
    }
}

/// All inner connections that stand.
final class LiveConnections: Sendable {
    private struct State {
        var next = 0
        var all: [Int: LiveConnection] = [:]
        /// How many there are of one caller on one route.
        var counts: [Owner: Int] = [:]
    }
    private struct Owner: Hashable {
        var route: String
        var caller: CallerSubject
    }
    private let state = Mutex(State())

    /// Takes a connection in. Throws where its caller has `most` of them on the route already, with calls on them or without.
    func enter(_ connection: LiveConnection, _ caller: CallerSubject, most: Int) throws(CallError) -> Int {
        let owner = Owner(route: connection.route, caller: caller)
        let id = state.withLock { state -> Int? in
            guard state.counts[owner, default: 0] < most else { return nil }
            state.counts[owner, default: 0] += 1
            state.next += 1
            state.all[state.next] = connection
            return state.next
        }
        guard let id else { throw .callerBusy(most) }
        return id
    }

    func leave(_ id: Int, _ caller: CallerSubject) {
        state.withLock { state in
            guard let connection = state.all.removeValue(forKey: id) else { return }
            let owner = Owner(route: connection.route, caller: caller)
            if let count = state.counts[owner] { state.counts[owner] = count > 1 ? count - 1 : nil }
        }
    }

    /// Connections that stand on a server certificate.
    func count(ofServer fingerprint: String) -> Int { state.withLock { $0.all.values.count { $0.server == fingerprint } } }

    /// Cuts what stands on server certificates of which that is so. Gives how many.
    func cut(_ cause: CallError.Cut, whereServer isGone: (String) -> Bool) -> Int {
        let all = state.withLock { Array($0.all.values) }
        let gone = Set(all.map(\.server)).filter(isGone)
        let cut = all.filter { gone.contains($0.server) }
        for connection in cut { connection.cut(cause) }
        return cut.count
    }

    /// Cuts what `snapshot` does not let go on. Gives how many.
    func cut(under snapshot: ConnectorSnapshot, now: Date) -> Int {
        let all = state.withLock { Array($0.all.values) }
        var count = 0
        for connection in all {
            guard let cause = connection.refusal(under: snapshot, now: now) else { continue }
            connection.cut(cause)
            count += 1
        }
        return count
    }
}
