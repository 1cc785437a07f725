import FoundationEssentials
import NIOCore
import NIOPosix
import PosternGate
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire
import Synchronization

/// A connector: holds legs to the edges open from inside a network, and serves the calls that come over them. Its document may change while it
/// runs: calls go by the one that is in force when they begin.
package final class Connector: Sendable {
    private let version: String
    private let resolve: ConnectorResolver
    private let group: any EventLoopGroup
    private let times: ConnectorTimes
    private let now: @Sendable () -> Date
    private let audit: ConnectorAudit?
    private let observe: @Sendable (ConnectorEvent) -> Void
    private let server: CallServer
    private let live = LiveConnections()
    private let calls = AsyncStream<(LegCall, RunningCalls)>.makeStream()
    private let sets = AsyncStream<LegSet>.makeStream()
    private let running = RunningCalls()
    private let launcher: (any ChildLauncher)?
    /// Of routes with a command, as they come.
    private let children = AsyncStream<ChildRoute>.makeStream()
    /// Of routes that know callers by tokens, as they come.
    private let keySets = AsyncStream<KeySetSource>.makeStream()
    private let state: State

    /// What changes with the document.
    private final class State: Sendable {
        let snapshot: Mutex<ConnectorSnapshot>
        /// Sets of legs that stand or are dialled, the newest last.
        let sets = Mutex<[LegSet]>([])

        init(_ snapshot: ConnectorSnapshot) { self.snapshot = Mutex(snapshot) }

        var current: ConnectorSnapshot { snapshot.withLock { $0 } }
    }

    /// - Parameters:
    ///   - resolve: names of edges and upstreams.
    ///   - audit: the log for calls; `nil` for none.
    ///   - book: counts the bytes of answers.
    ///   - launcher: starts the servers of routes with a command; without one those routes answer that there is none.
    ///   - registrations: why no call is let through now; asked at each call.
    ///   - ofServer: why none is that stands on a server certificate, named by its fingerprint; asked at each call, and at `recheck`.
    ///   - observe: hears of what happens, on tasks and event loops: it must not wait.
    package init(
        _ configuration: ConnectorConfiguration, _ material: ConnectorMaterial, version: String, resolve: @escaping ConnectorResolver,
        audit: ConnectorAudit? = nil, book: ByteBook = ByteBook(), launcher: (any ChildLauncher)? = nil,
        registrations: @escaping @Sendable () -> RegistrationRefusal? = { nil },
        ofServer: @escaping @Sendable (String) -> RegistrationRefusal? = { _ in nil }, times: ConnectorTimes = ConnectorTimes(),
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, now: @escaping @Sendable () -> Date = { Date() },
        observe: @escaping @Sendable (ConnectorEvent) -> Void
    ) throws {
        self.version = version
        self.resolve = resolve
        self.group = group
        self.times = times
        self.now = now
        self.audit = audit
        self.observe = observe
        self.launcher = launcher
        let state = State(
            try ConnectorSnapshot(
                configuration, material, after: nil, resolve: resolve, group: group,
                children: Self.maker(launcher, times: times, group: group, observe: observe), observe: observe))
        self.state = state
        let run = UInt32.random(in: .min ... .max)
        let count = Atomic(0)
        server = CallServer(
            current: { state.current }, live: live, book: book, times: times, now: now,
            newID: { "call_\(String(run, radix: 36))_\(count.add(1, ordering: .relaxed).newValue)" }, audit: audit,
            registrations: registrations, ofServer: ofServer, observe: observe)
        for child in state.current.children { children.continuation.yield(child) }
        for source in state.current.keySets { keySets.continuation.yield(source) }
        try addLegs(state.current)
    }

    private static func maker(
        _ launcher: (any ChildLauncher)?, times: ConnectorTimes, group: any EventLoopGroup, observe: @escaping @Sendable (ConnectorEvent) -> Void
    ) -> ((String, ChildSettings, [ChildSecret]) -> ChildRoute)? {
        guard let launcher else { return nil }
        return { name, settings, secrets in
            ChildRoute(name, settings, secrets: secrets, launcher: launcher, times: times, group: group, observe: observe)
        }
    }

    /// Runs until `drain` or until it is cancelled.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            // They end last: calls need them.
            group.addTask { [children] in
                await withDiscardingTaskGroup { group in
                    for await child in children.stream { group.addTask { await child.run() } }
                    group.cancelAll()
                }
            }
            group.addTask { [keySets] in
                await withDiscardingTaskGroup { group in
                    for await source in keySets.stream { group.addTask { await source.run() } }
                    group.cancelAll()
                }
            }
            await runCalls()
        }
    }

    private func runCalls() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                await withDiscardingTaskGroup { group in
                    for await set in sets.stream {
                        group.addTask { [self] in await run(set) }
                    }
                    group.cancelAll()
                }
            }
            group.addTask { [self] in
                await withDiscardingTaskGroup { group in
                    for await (call, ofLeg) in calls.stream {
                        group.addTask { [self] in
                            await server.serve(call)
                            ofLeg.leave()
                            running.leave()
                        }
                    }
                    group.cancelAll()
                }
            }
            // The calls end first, when `drain` has ended their stream.
            await group.next()
            group.cancelAll()
        }
    }

    /// Takes no further calls, lets those that run end, for a time, and ends `run`.
    package func drain() async {
        running.close()
        for set in state.sets.withLock({ $0 }) { set.sayGoodbye() }
        await running.ended(within: times.drain)
        calls.continuation.finish()
    }

    /// The log of registrations has changed: cuts what stands on a server certificate whose authority was archived.
    package func recheck() {
        let cut = live.cut(.authorityArchived) { server.ofServer($0) != nil }
        if cut > 0 { observe(.cut(cut)) }
    }

    // MARK: Metrics

    /// Legs that the document in force asks for.
    var legsWanted: Int { state.current.configuration.legs }

    /// When the certificates end that calls need.
    var certificates: [(name: String, expires: Date)] {
        let material = state.current.material
        return [("server", material.serverExpires), ("runtime_authority", material.runtimesExpire)]
    }

    // MARK: Changes of the document

    /// Records that the connector begins with its document. To be called before `run`.
    package func recordStart() async throws(CallError) {
        let snapshot = state.current
        try await audit?.configured(number: snapshot.number, digest: snapshot.configuration.digest)
    }

    /// Puts another reading of the document in force: for calls that begin from now on. Those that run keep theirs, unless it does not let them
    /// go on: they are cut. Where legs are dialled otherwise, new ones stand before the old ones are given up. Throws, and changes nothing, where
    /// it cannot be used or recorded. One at a time.
    package func reload(_ configuration: ConnectorConfiguration, _ material: ConnectorMaterial) async throws {
        let old = state.current
        guard launcher != nil || !configuration.routes.values.contains(where: { $0.upstream.child != nil }) else {
            throw ConnectorError("this connector was started without a route with \"command\": start it again to have one")
        }
        let new = try ConnectorSnapshot(
            configuration, material, after: old, resolve: resolve, group: group,
            children: Self.maker(launcher, times: times, group: group, observe: observe), observe: observe)
        let redials = LegPlan(configuration, material) != LegPlan(old.configuration, old.material)
        // What cannot be dialled is found before anything changes.
        if redials {
            _ = try material.outerTLS()
            _ = try material.proxy(configuration.edges)
        }
        try await audit?.configured(number: new.number, digest: configuration.digest)
        state.snapshot.withLock { $0 = new }
        for source in new.keySets where !old.keySets.contains(where: { $0 === source }) { keySets.continuation.yield(source) }
        for source in old.keySets where !new.keySets.contains(where: { $0 === source }) { source.retire() }
        let (before, after) = (old.children, new.children)
        for child in after where !before.contains(where: { $0 === child }) { children.continuation.yield(child) }
        for child in before where !after.contains(where: { $0 === child }) { child.retire() }
        let cut = live.cut(under: new, now: now())
        if redials { try addLegs(new) }
        observe(.reloaded(number: new.number, cut: cut, redials: redials))
        let former = old.material.serverFingerprint
        if former != new.material.serverFingerprint, live.count(ofServer: former) == 0 { observe(.certificateUnused) }
    }

    /// Begins to dial the legs of a snapshot.
    private func addLegs(_ snapshot: ConnectorSnapshot) throws {
        let dialer = LegDialer(
            edges: snapshot.configuration.edges, tls: try snapshot.material.outerTLS(), signer: snapshot.material.signer,
            proxy: try snapshot.material.proxy(snapshot.configuration.edges), resolve: resolve, group: group, times: times)
        let set = state.sets.withLock { sets in
            let used = Set(sets.map(\.lane))
            let lane = (0...used.count).first { !used.contains($0) } ?? 0
            let set = LegSet(
                LegPlan(snapshot.configuration, snapshot.material), lane: lane, dialer: dialer, version: version,
                token: { [state] in state.current.material.token }, times: times,
                take: { [weak self] call, ofLeg in if let self { take(call, ofLeg) } else { call.refuse() } }, observe: observe)
            sets.append(set)
            return set
        }
        sets.continuation.yield(set)
    }

    private func run(_ set: LegSet) async {
        await withDiscardingTaskGroup { group in
            group.addTask { [self] in
                await set.run()
                state.sets.withLock { $0.removeAll { $0 === set } }
            }
            group.addTask { [self] in
                guard await set.stood(within: times.changeover) else { return }
                let older = state.sets.withLock { sets in sets.prefix { $0 !== set } }
                for old in older { old.retire() }
            }
        }
    }

    /// Runs on the leg's event loop.
    private func take(_ call: LegCall, _ ofLeg: RunningCalls) {
        guard ofLeg.enter() else { return call.refuse() }
        guard running.enter() else {
            ofLeg.leave()
            return call.refuse()
        }
        calls.continuation.yield((call, ofLeg))
    }
}
