import NIOCore
import PosternTunnelLink
import PosternTunnelWire
import Synchronization
import X509

/// The tunnels that there are, the legs that stand, the calls that run: what an edge decides by. Changes of the tunnels take effect on legs
/// and calls at once.
final class LegTable: Sendable {
    /// Legs of one tunnel.
    static let mostLegs = 64

    private struct State {
        /// `nil` until the control plane has told.
        var tunnels: KnownTunnels?
        var legs: [String: [EdgeLeg]] = [:]
        var calls = EdgeCalls()
        var waiters: [Int: (tunnelID: String, continuation: CheckedContinuation<Void, Never>)] = [:]
        var nextID = 1
        var news = PrincipalNews()

        mutating func takeID() -> Int {
            defer { nextID += 1 }
            return nextID
        }
    }

    private let state = Mutex(State())
    /// Legs of all tunnels of one workspace.
    private let legsPerWorkspace: Int
    /// Seconds on a clock that never goes back.
    private let clock: @Sendable () -> Double
    let doubts = Mutex(DoubtedKeys())
    let reports = Mutex(LegReports())
    let runningCalls = RunningCalls()

    init(legsPerWorkspace: Int = EdgeShareLimits().legsPerWorkspace, clock: @escaping @Sendable () -> Double = { EdgeShares.now }) {
        self.legsPerWorkspace = legsPerWorkspace
        self.clock = clock
    }

    // MARK: Tunnels

    /// Whether the control plane has told of its tunnels since the start.
    var isReady: Bool { state.withLock { $0.tunnels != nil } }

    func tunnel(domain: String) -> EdgeTunnel? { state.withLock { $0.tunnels?.tunnel(domain: domain) } }

    func tunnel(id: String) -> EdgeTunnel? { state.withLock { $0.tunnels?[id] } }

    /// Who signs the runtime certificates of a workspace.
    func authority(workspaceID: String) -> Certificate? { state.withLock { $0.tunnels?.authority(workspaceID: workspaceID) } }

    /// Takes the tunnels as they are now. Connectors of a tunnel whose log has changed are told. Legs of a tunnel that is gone or of a key that counts no
    /// more are cut, and so are the calls of a tunnel that is gone, and the spliced ones of a tunnel that is spliced no more.
    func replace(_ live: EdgeTunnels) {
        let now = KnownTunnels(live)
        let cuts = state.withLock { state -> [@Sendable () -> Void] in
            let before = state.tunnels
            state.tunnels = now
            var cuts: [@Sendable () -> Void] = []
            for (id, legs) in state.legs {
                for leg in legs where now[id]?.connectorKeys.contains(leg.connectorKey) != true {
                    leg.drain()
                    cuts.append { leg.leg.close() }
                }
            }
            for (id, legs) in state.legs {
                guard let old = before?[id], old.registrations != now[id]?.registrations else { continue }
                for leg in legs { cuts.append { leg.leg.tellNews() } }
            }
            cuts += state.calls.cuts(by: now)
            // Who waits for a tunnel that is gone need not wait, and who waits for a key has it.
            for id in now.changes(since: before) { cuts += Self.wake(id, &state) }
            return cuts
        }
        for cut in cuts { cut() }
        let keys = now.connectorKeys
        doubts.withLock { $0.keep(keys) }
    }

    // MARK: Legs

    func nextID() -> Int { state.withLock { $0.takeID() } }

    /// Throws where there is no place for a leg of that key and name: it would be one too many of its tunnel or its workspace, or one that was asked for
    /// later stands. A ghost, whose place it takes, does not count.
    func checkPlace(tunnelID: String, connectorKey: String, name: String, asked: Int) throws(LegRefusal) {
        try state.withLock { (state) throws(LegRefusal) in
            guard let tunnel = state.tunnels?[tunnelID] else { throw LegRefusal(.tunnelArchived, "the tunnel is archived") }
            try checkPlace(tunnel, connectorKey, name, asked, state)
        }
    }

    private func checkPlace(_ tunnel: EdgeTunnel, _ connectorKey: String, _ name: String, _ asked: Int, _ state: State) throws(LegRefusal) {
        // What has waited for its enrolment while its connector ended and came back is the ghost itself.
        let newer = (state.legs[tunnel.id] ?? []).contains { $0.connectorKey == connectorKey && $0.name == name && $0.id > asked }
        guard !newer else { throw LegRefusal(.replaced, "a leg of the same key and name, asked for later, stands already") }
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

    /// Takes a leg whose key is the tunnel's now. One of the same key and name that was asked for earlier is a ghost, and ends at once. Throws where the
    /// tunnel was archived or the key revoked meanwhile, where the tunnel or its workspace has legs enough, and where the leg is a ghost itself.
    func add(_ leg: EdgeLeg) throws(LegRefusal) {
        let after = try state.withLock { (state) throws(LegRefusal) -> [@Sendable () -> Void] in
            guard let tunnel = state.tunnels?[leg.tunnelID] else { throw LegRefusal(.tunnelArchived, "the tunnel is archived") }
            guard tunnel.connectorKeys.contains(leg.connectorKey) else { throw LegRefusal(.notEnrolled, "the connector's key is not enrolled") }
            try checkPlace(tunnel, leg.connectorKey, leg.name, leg.id, state)
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

    /// The first leg by `LegOrder` that takes the call, with a place taken on it; `nil` where there is none. Those in `tried` have refused.
    /// - Parameter reporter: whose call it is, where that is known: legs that it has reported come last, or not at all.
    func pick(tunnelID: String, tried: Set<Int>, isSplice: Bool, near loop: any EventLoop, for reporter: String? = nil) -> EdgeLeg? {
        var legs = legs(of: tunnelID)
        let time = EdgeShares.now
        var reported: Set<Int> = []
        if let reporter {
            reports.withLock { reports in
                legs.removeAll { reports.isShut($0.id, to: reporter, now: time) }
                reported = Set(legs.map(\.id).filter { reports.isDoubted($0, by: reporter, now: time) })
            }
        }
        let doubted = doubts.withLock { doubts in Set(legs.map(\.connectorKey).filter { doubts.isDoubted($0, now: time) }) }
        return LegOrder(reported: reported, doubted: doubted, loop: loop).sorted(legs, besides: tried).first { $0.enter(isSplice: isSplice) }
    }

    /// Whether a leg stands that would take a call, besides those that have refused.
    /// - Parameters:
    ///   - reporter: leaves out legs that this caller has reported.
    ///   - caller: leaves out legs that are shut to this caller, which `pick` gives it no more.
    func hasLegs(
        tunnelID: String, besides tried: Set<Int>, isSplice: Bool, notDoubtedBy reporter: String? = nil, notShutTo caller: String? = nil
    ) -> Bool {
        var legs = legs(of: tunnelID)
        if let caller { reports.withLock { reports in legs.removeAll { reports.isShut($0.id, to: caller, now: EdgeShares.now) } } }
        if let reporter { reports.withLock { reports in legs.removeAll { reports.isDoubted($0.id, by: reporter, now: EdgeShares.now) } } }
        return legs.contains { !tried.contains($0.id) && $0.now.hasRoom(isSplice: isSplice) }
    }

    /// By tunnel.
    var legs: [String: [EdgeLeg]] { state.withLock { $0.legs } }

    func legs(of tunnelID: String) -> [EdgeLeg] { state.withLock { $0.legs[tunnelID] ?? [] } }

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
    var principals: Set<String> { state.withLock { $0.calls.principals } }

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
            return state.calls.cuts(of: ended)
        }
        for cut in cuts { cut() }
    }

    var now: Double { clock() }

    /// Runs a call so that it can be cut. Calls of the very same identity that began with an older certificate go on until this one's ends. Throws
    /// `CallCut` where the tunnel is gone, or spliced no more, or the caller's credential has ended, already.
    func running<Result: Sendable>(
        _ tunnel: EdgeTunnel, _ opening: CallOpening, end: CallDeadline? = nil, cut: @escaping @Sendable () -> Void, _ body: () async throws -> Result
    ) async throws -> Result {
        let id: Int = try state.withLock { state in
            guard let now = state.tunnels?[tunnel.id], !opening.isSplice || now.splices else { throw CallCut() }
            guard !opening.principals.contains(where: { state.news.hasEnded($0, now: clock()) }) else { throw CallCut() }
            guard runningCalls.enter() else { throw CallCut() }
            let id = state.takeID()
            state.calls.began(id, tunnelID: tunnel.id, opening, end: end, cut: cut)
            return id
        }
        defer {
            state.withLock { $0.calls.ended(id, tunnelID: tunnel.id, opening) }
            runningCalls.leave()
        }
        return try await body()
    }
}
