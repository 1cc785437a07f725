import NIOCore
import PosternTunnelLink
import PosternTunnelWire
import SwiftASN1
import Synchronization
import X509

/// The tunnels that there are, the legs that stand, the calls that run: what an edge decides by. Changes of the tunnels take effect on legs
/// and calls at once.
final class LegTable: Sendable {
    /// Legs of one tunnel.
    static let mostLegs = 64

    private struct State {
        /// `nil` until the control plane has told.
        var tunnels: [String: EdgeTunnel]?
        /// Of runtimes, by workspace.
        var authorities: [String: Certificate] = [:]
        /// Ids by domain.
        var domains: [String: String] = [:]
        var legs: [String: [EdgeLeg]] = [:]
        var calls: [String: [Int: LiveCall]] = [:]
        /// The ends of calls by certificates, by whose they are.
        var ends: [RuntimeIdentity: [Int: CallDeadline]] = [:]
        var waiters: [Int: (tunnelID: String, continuation: CheckedContinuation<Void, Never>)] = [:]
        var nextID = 1
        var news = PrincipalNews()
    }

    /// A call through the edge, and how it is cut.
    private struct LiveCall {
        var opening: CallOpening
        var cut: @Sendable () -> Void
    }

    private let state = Mutex(State())
    /// Legs of all tunnels of one workspace.
    private let legsPerWorkspace: Int
    /// Seconds on a clock that never goes back.
    private let clock: @Sendable () -> Double
    private let doubts = Mutex(DoubtedKeys())
    private let reports = Mutex(LegReports())
    let runningCalls = RunningCalls()

    init(legsPerWorkspace: Int = EdgeShareLimits().legsPerWorkspace, clock: @escaping @Sendable () -> Double = { EdgeShares.now }) {
        self.legsPerWorkspace = legsPerWorkspace
        self.clock = clock
    }

    // MARK: Tunnels

    /// Whether the control plane has told of its tunnels since the start.
    var isReady: Bool { state.withLock { $0.tunnels != nil } }

    func tunnel(domain: String) -> EdgeTunnel? { state.withLock { state in state.domains[domain].flatMap { state.tunnels?[$0] } } }

    func tunnel(id: String) -> EdgeTunnel? { state.withLock { $0.tunnels?[id] } }

    /// Who signs the runtime certificates of a workspace.
    func authority(workspaceID: String) -> Certificate? { state.withLock { $0.authorities[workspaceID] } }

    /// Takes the tunnels as they are now. Connectors of a tunnel whose log has changed are told. Legs of a tunnel that is gone or of a key that counts no more are cut, and so are the calls of a
    /// tunnel that is gone, and the spliced ones of a tunnel that is spliced no more.
    func replace(_ live: EdgeTunnels) {
        let tunnels = live.tunnels
        // One that cannot be read opens nothing.
        let authorities = live.authorities.compactMapValues { try? Certificate(pemEncoded: $0) }
        let cuts = state.withLock { state -> [@Sendable () -> Void] in
            state.authorities = authorities
            let before = state.tunnels ?? [:]
            let now = Dictionary(tunnels.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
            state.tunnels = now
            state.domains = Dictionary(tunnels.map { ($0.domain, $0.id) }, uniquingKeysWith: { first, _ in first })
            var cuts: [@Sendable () -> Void] = []
            for (id, legs) in state.legs {
                for leg in legs where now[id]?.connectorKeys.contains(leg.connectorKey) != true {
                    leg.drain()
                    cuts.append { leg.leg.close() }
                }
            }
            for (id, legs) in state.legs where before[id] != nil && before[id]?.registrations != now[id]?.registrations {
                for leg in legs { cuts.append { leg.leg.tellNews() } }
            }
            for (id, calls) in state.calls {
                let isGone = now[id] == nil
                let isSpliced = now[id]?.splices == true
                for call in calls.values where isGone || call.opening.isSplice && !isSpliced { cuts.append(call.cut) }
            }
            // Who waits for a tunnel that is gone need not wait, and who waits for a key has it.
            for id in Set(before.keys).union(now.keys) where before[id] != now[id] { cuts += Self.wake(id, &state) }
            return cuts
        }
        for cut in cuts { cut() }
        let keys = Set(tunnels.flatMap(\.connectorKeys))
        doubts.withLock { $0.keep(keys) }
    }

    // MARK: Legs

    func nextID() -> Int {
        state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
    }

    /// Throws where a leg of that key and name would be one too many, of its tunnel or its workspace. Its ghost, whose place it takes, does not count.
    func checkRoom(tunnelID: String, connectorKey: String, name: String) throws(LegRefusal) {
        try state.withLock { (state) throws(LegRefusal) in
            guard let tunnel = state.tunnels?[tunnelID] else { throw LegRefusal(.tunnelArchived, "the tunnel is archived") }
            try checkRoom(tunnel, connectorKey, name, state)
        }
    }

    private func checkRoom(_ tunnel: EdgeTunnel, _ connectorKey: String, _ name: String, _ state: State) throws(LegRefusal) {
        func others(_ legs: [EdgeLeg]) -> Int { legs.count { $0.tunnelID != tunnel.id || $0.connectorKey != connectorKey || $0.name != name } }
        guard others(state.legs[tunnel.id] ?? []) < Self.mostLegs else {
            throw LegRefusal(.tooManyLegs, "the tunnel has \(Self.mostLegs) legs at this edge, and more are not taken: end some")
        }
        let ofWorkspace = state.legs.reduce(0) { sum, entry in
            state.tunnels?[entry.key]?.workspaceID == tunnel.workspaceID ? sum + others(entry.value) : sum
        }
        guard ofWorkspace < legsPerWorkspace else {
            throw LegRefusal(.tooManyLegs, "the workspace's tunnels have \(legsPerWorkspace) legs at this edge, and more are not taken: end some")
        }
    }

    /// Takes a leg whose key is the tunnel's now. One of the same key and name is a ghost, and ends at once. Throws where the tunnel was
    /// archived or the key revoked meanwhile, or where the tunnel or its workspace has legs enough.
    func add(_ leg: EdgeLeg) throws(LegRefusal) {
        let after = try state.withLock { (state) throws(LegRefusal) -> [@Sendable () -> Void] in
            guard let tunnel = state.tunnels?[leg.tunnelID] else { throw LegRefusal(.tunnelArchived, "the tunnel is archived") }
            guard tunnel.connectorKeys.contains(leg.connectorKey) else { throw LegRefusal(.notEnrolled, "the connector's key is not enrolled") }
            try checkRoom(tunnel, leg.connectorKey, leg.name, state)
            var legs = state.legs[leg.tunnelID] ?? []
            var after: [@Sendable () -> Void] = []
            for ghost in legs where ghost.connectorKey == leg.connectorKey && ghost.name == leg.name {
                ghost.drain()
                after.append { ghost.leg.close() }
            }
            legs.removeAll { $0.connectorKey == leg.connectorKey && $0.name == leg.name }
            legs.append(leg)
            state.legs[leg.tunnelID] = legs
            return after + Self.wake(leg.tunnelID, &state)
        }
        for action in after { action() }
    }

    func remove(_ leg: EdgeLeg) {
        state.withLock { state in
            state.legs[leg.tunnelID]?.removeAll { $0 === leg }
            if state.legs[leg.tunnelID]?.isEmpty == true { state.legs[leg.tunnelID] = nil }
        }
        reports.withLock { $0.ended(leg.id) }
    }

    /// A leg with a place taken on it; `nil` where there is none. Those in `tried` have refused. Keys that are not doubted come first, then the key with
    /// the fewest calls, so that many legs of one key take no more than its share, then the leg with the fewest, and of equal ones one
    /// on `loop`, the caller's: its bytes then change threads nowhere.
    /// - Parameter reporter: whose call it is, where that is known: legs that it has reported come last, or not at all.
    func pick(tunnelID: String, tried: Set<Int>, isSplice: Bool, near loop: any EventLoop, for reporter: String? = nil) -> EdgeLeg? {
        var legs = state.withLock { $0.legs[tunnelID] ?? [] }
        let time = EdgeShares.now
        var reported: Set<Int> = []
        if let reporter {
            reports.withLock { reports in
                legs.removeAll { reports.isShut($0.id, to: reporter, now: time) }
                reported = Set(legs.map(\.id).filter { reports.isDoubted($0, by: reporter, now: time) })
            }
        }
        let doubted = doubts.withLock { doubts in Set(legs.map(\.connectorKey).filter { doubts.isDoubted($0, now: time) }) }
        let open = legs.map { (leg: $0, streams: $0.now.streams) }
        var ofKey: [String: Int] = [:]
        for (leg, streams) in open { ofKey[leg.connectorKey, default: 0] += streams }
        func rank(_ entry: (leg: EdgeLeg, streams: Int)) -> (Int, Int, Int, Int, Int) {
            (
                reported.contains(entry.leg.id) ? 1 : 0, doubted.contains(entry.leg.connectorKey) ? 1 : 0, ofKey[entry.leg.connectorKey] ?? 0,
                entry.streams,
                entry.leg.leg.channel.eventLoop === loop ? 0 : 1
            )
        }
        for (leg, _) in open.filter({ !tried.contains($0.leg.id) }).sorted(by: { rank($0) < rank($1) }) where leg.enter(isSplice: isSplice) {
            return leg
        }
        return nil
    }

    /// An inner handshake through the leg has failed, as far as an edge can see. Says whether its key is doubted from now on.
    func failed(_ leg: EdgeLeg) -> Bool { doubts.withLock { $0.failed(leg.connectorKey, now: EdgeShares.now) } }

    /// The caller of a call has believed who answers on the leg.
    func proved(_ leg: EdgeLeg, _ call: String) {
        doubts.withLock { $0.proved(leg.connectorKey) }
        reports.withLock { $0.proved(call) }
    }

    /// Whether a leg stands that would take a call, besides those that have refused.
    /// - Parameters:
    ///   - reporter: leaves out legs that this caller has reported.
    ///   - caller: leaves out legs that are shut to this caller, which `pick` gives it no more.
    func hasLegs(
        tunnelID: String, besides tried: Set<Int>, isSplice: Bool, notDoubtedBy reporter: String? = nil, notShutTo caller: String? = nil
    ) -> Bool {
        var legs = state.withLock { $0.legs[tunnelID] ?? [] }
        if let caller { reports.withLock { reports in legs.removeAll { reports.isShut($0.id, to: caller, now: EdgeShares.now) } } }
        if let reporter { reports.withLock { reports in legs.removeAll { reports.isDoubted($0.id, by: reporter, now: EdgeShares.now) } } }
        return legs.contains { !tried.contains($0.id) && $0.now.hasRoom(isSplice: isSplice) }
    }

    // MARK: Reports

    /// A call that its caller may report has reached a leg.
    func began(_ call: String, on leg: EdgeLeg, _ host: TunnelHost, _ reporter: String) {
        let entry = LegReports.Call(
            tunnelID: leg.tunnelID, host: host, leg: leg.id, key: leg.connectorKey, reporter: reporter, began: EdgeShares.now)
        reports.withLock { $0.began(call, entry) }
    }

    func reportable(_ call: String) -> LegReports.Call? { reports.withLock { $0.call(call, now: EdgeShares.now) } }

    /// Its caller says that the inner handshake failed; `false` where it has no such call. Where an edge could not see it, it counts for the key as well.
    func reported(_ call: String, by opening: CallOpening) -> Bool {
        let shuts = opening.certificate != nil
        guard let call = reports.withLock({ $0.failed(call, by: opening.reporter, shuts: shuts, now: EdgeShares.now) }) else { return false }
        if call.isProved { doubts.withLock { _ = $0.failed(call.key, now: EdgeShares.now) } }
        return true
    }

    /// Whether legs stand, and each of them gets no call of this caller's.
    func isShut(tunnelID: String, to reporter: String) -> Bool {
        let legs = state.withLock { $0.legs[tunnelID] ?? [] }
        return !legs.isEmpty && reports.withLock { reports in legs.allSatisfy { reports.isShut($0.id, to: reporter, now: EdgeShares.now) } }
    }

    var legs: [String: [EdgeLeg]] { state.withLock { $0.legs } }

    // MARK: Waiting

    /// Returns when a leg of the tunnel was added, or the tunnel has changed, since `isDue` was last false; or when the task is cancelled.
    func change(tunnelID: String, unless isDue: @Sendable () -> Bool) async {
        let id = nextID()
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if Task.isCancelled { return true }
                    state.waiters[id] = (tunnelID, continuation)
                    return false
                }
                if isOver {
                    continuation.resume()
                }
                // What happened before the place was taken.
                else if isDue() {
                    release(id)
                }
            }
        } onCancel: {
            release(id)
        }
    }

    private func release(_ id: Int) { state.withLock { $0.waiters.removeValue(forKey: id) }?.continuation.resume() }

    private static func wake(_ tunnelID: String, _ state: inout State) -> [@Sendable () -> Void] {
        let ids = state.waiters.filter { $0.value.tunnelID == tunnelID }.map(\.key)
        return ids.compactMap { state.waiters.removeValue(forKey: $0)?.continuation }.map { continuation in { continuation.resume() } }
    }

    // MARK: Calls

    /// On whose credentials calls rest that run.
    var principals: Set<String> { state.withLock { Set($0.calls.values.flatMap(\.values).flatMap(\.opening.principals)) } }

    /// Whether a call must not begin before the control plane was asked about the principal.
    func isStale(_ principal: String) -> Bool { state.withLock { $0.news.isStale(principal, now: clock()) } }

    func hasEnded(_ principal: String) -> Bool { state.withLock { $0.news.hasEnded(principal, now: clock()) } }

    /// The control plane has taken a credential of the principal's when it was asked at `asked`.
    func authorized(_ principal: String, asked: Double) { state.withLock { $0.news.authorized(principal, asked: asked) } }

    /// The control plane has answered which of these have ended, when it was asked at `asked`. Cuts the calls that rest on their credentials, and
    /// remembers them: what rests on them begins no more.
    func heard(of principals: [String], ended: Set<String>, asked: Double) {
        let cuts = state.withLock { state in
            state.news.heard(of: principals, ended: ended, asked: asked, now: clock())
            return ended.isEmpty
                ? []
                : state.calls.values.flatMap(\.values).filter { !ended.isDisjoint(with: $0.opening.principals) }.map(\.cut)
        }
        for cut in cuts { cut() }
    }

    var now: Double { clock() }

    /// Runs a call so that it can be cut. Calls of the very same identity that began with an older certificate go on until this one's ends. Throws `CallCut` where the tunnel is gone, or spliced no more, or the caller's credential has ended, already.
    func running<Result: Sendable>(
        _ tunnel: EdgeTunnel, _ opening: CallOpening, end: CallDeadline? = nil, cut: @escaping @Sendable () -> Void, _ body: () async throws -> Result
    ) async throws -> Result {
        let id: Int = try state.withLock { state in
            guard let now = state.tunnels?[tunnel.id], !opening.isSplice || now.splices else { throw CallCut() }
            guard !opening.principals.contains(where: { state.news.hasEnded($0, now: clock()) }) else { throw CallCut() }
            guard runningCalls.enter() else { throw CallCut() }
            state.nextID += 1
            if let identity = opening.identity, let until = opening.until {
                for older in (state.ends[identity] ?? [:]).values { older.prolong(until: until) }
                if let end { state.ends[identity, default: [:]][state.nextID] = end }
            }
            state.calls[tunnel.id, default: [:]][state.nextID] = LiveCall(opening: opening, cut: cut)
            return state.nextID
        }
        defer {
            state.withLock { state in
                state.calls[tunnel.id]?[id] = nil
                if state.calls[tunnel.id]?.isEmpty == true { state.calls[tunnel.id] = nil }
                if let identity = opening.identity {
                    state.ends[identity]?[id] = nil
                    if state.ends[identity]?.isEmpty == true { state.ends[identity] = nil }
                }
            }
            runningCalls.leave()
        }
        return try await body()
    }
}

/// The tunnel was archived, or its splicing turned off, or the caller's credential has ended.
struct CallCut: Error, CustomStringConvertible {
    var description: String { "the tunnel is archived, or is not spliced any more, or the caller's credential has ended" }
}
