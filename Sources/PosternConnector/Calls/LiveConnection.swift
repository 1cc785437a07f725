import FoundationEssentials
import NIOCore
import PosternTunnelLink
import PosternTunnelWire
import Synchronization
import X509

/// An inner connection as others see it: whose it is, what runs on it, and how to cut it.
final class LiveConnection: Sendable {
    let route: String
    let identity: RuntimeIdentity
    /// The server certificate that the caller was shown, by its fingerprint.
    let server: String
    /// At the call that runs.
    let looks: CallLooks
    private let stream: ByteStream
    private let state: Mutex<State>
    private let cuts = AsyncStream<Void>.makeStream()

    private struct State {
        var call: RunningCall?
        var cause: CallError.Cut?
        var proof: CallerProof
        /// How often the proof was replaced.
        var turn = 0
        /// The number of the snapshot that the proof was held against last.
        var number: Int
        /// Cuts the connection when its proof ends.
        var end: Scheduled<Void>?
    }

    /// A call that runs, as far as it matters whether it may go on.
    struct RunningCall: Sendable {
        var runtime: RouteRuntime
        /// What its caller calls it.
        var id: String?
        /// What the policy of the route has let through; `nil` where there was nothing to judge.
        var body: RPCBody?
    }

    init(route: String, identity: RuntimeIdentity, proof: CallerProof, server: String, stream: ByteStream, number: Int) {
        state = Mutex(State(proof: proof, number: number))
        self.route = route
        self.identity = identity
        self.server = server
        self.stream = stream
        looks = CallLooks(stream.channel.eventLoop)
    }

    /// Why it was cut; `nil` where it was not.
    var cause: CallError.Cut? { state.withLock { $0.cause } }

    /// What it rests on now.
    var proof: CallerProof { state.withLock { $0.proof } }

    /// It rests on another proof of the same caller from now on, which was held against the snapshot `number`, and ends with that one.
    func rest(on proof: CallerProof, number: Int, now: Date) {
        state.withLock { state in
            state.proof = proof
            state.number = number
            state.turn += 1
        }
        watchEnd(now: now)
    }

    /// Goes on until `other` ends, where it is the same caller's and runs the call `id`. Whether it does. A proof that ends earlier shortens nothing.
    func renew(_ id: String, by other: LiveConnection, now: Date) -> Bool {
        guard other !== self, route == other.route, identity == other.identity else { return false }
        let (proof, number) = other.state.withLock { ($0.proof, $0.number) }
        let isRunning = state.withLock { state in
            guard state.cause == nil, state.call?.id == id else { return false }
            guard state.proof.ends < proof.ends else { return true }
            state.proof = proof
            state.number = number
            state.turn += 1
            return true
        }
        if isRunning { watchEnd(now: now) }
        return isRunning
    }

    /// Cuts the connection when its proof ends, until `stopWatching`.
    func watchEnd(now: Date) {
        let ends = proof.ends
        // Ten years are as good as for ever.
        let left = min(max(ends.timeIntervalSince(now), 0), 315_360_000)
        let end = stream.channel.eventLoop.scheduleTask(in: .nanoseconds(Int64(left * 1e9))) { [weak self] in
            guard let self, proof.ends == ends else { return }
            cut(proof.cut)
        }
        state.withLock { state -> Scheduled<Void>? in
            // Another proof took its place meanwhile: who set that one watches it.
            guard state.proof.ends == ends else { return end }
            defer { state.end = end }
            return state.end
        }?.cancel()
    }

    func stopWatching() {
        state.withLock { $0.end }?.cancel()
        looks.stop()
    }

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

    /// Whether the proof was held against `snapshot` already, which takes longer than all else of a small call.
    func wasHeld(against snapshot: ConnectorSnapshot) -> Bool { state.withLock { $0.number == snapshot.number } }

    /// Why `snapshot` does not let go on what runs here; `nil` where it does.
    func refusal(under snapshot: ConnectorSnapshot, now: Date) -> CallError.Cut? {
        guard let new = snapshot.routes[route] else { return .noLongerAllowed("the route was taken out") }
        let (proof, turn) = state.withLock { ($0.proof, $0.turn) }
        if let cause = refusal(of: proof, under: snapshot, new.bearer, now: now) { return cause }
        // A proof that took its place meanwhile was not looked at.
        state.withLock { if $0.turn == turn { $0.number = max($0.number, snapshot.number) } }
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

    private func refusal(of proof: CallerProof, under snapshot: ConnectorSnapshot, _ bearer: BearerVerifier?, now: Date) -> CallError.Cut? {
        let tunnel = snapshot.configuration.tunnel
        switch proof {
        case .certificate(let certificate):
            guard bearer == nil else { return .noLongerAllowed("the route asks for a bearer token now") }
            do throws(RuntimeCertificateError) {
                _ = try RuntimeCertificate.verify(
                    certificate, authority: snapshot.material.runtimeAuthority, now: now, tunnelID: tunnel.id, workspaceID: tunnel.workspaceID)
            } catch {
                return error == .expired ? .certificateEnded : .noLongerAllowed("the caller's certificate does not count any more: \(error)")
            }
        case .token(let token, let ends):
            guard let bearer else { return .noLongerAllowed("the route asks for a certificate now") }
            guard now < ends else { return .tokenEnded }
            guard bearer.recheck(token, now: now)?.identity(tunnel) == identity else {
                return .noLongerAllowed("the caller's bearer token does not count any more")
            }
        }
        return nil
    }
}
