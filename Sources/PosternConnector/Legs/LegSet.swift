import NIOCore
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire
import Synchronization

/// Keeps the legs of one plan open: dials again what ends, until it is retired, when its calls end by themselves.
final class LegSet: Sendable {
    let plan: LegPlan
    /// Tells legs of plans apart that stand at one time: edges take two of one name for one that comes back.
    let lane: Int
    private let dialer: LegDialer
    private let version: String
    private let token: @Sendable () -> String?
    private let times: ConnectorTimes
    private let take: @Sendable (LegCall, RunningCalls) -> Void
    private let observe: @Sendable (ConnectorEvent) -> Void
    private let state = Mutex(State())
    private let retiring = AsyncStream<Void>.makeStream()
    /// Ends when all legs have stood.
    private let standing = AsyncStream<Void>.makeStream()
    /// Ends when one has.
    private let first = AsyncStream<Void>.makeStream()

    private struct State {
        var legs: [Int: Standing] = [:]
        var next = 0
        /// Indices of legs that have stood.
        var stood: Set<Int> = []
        var isRetired = false
    }

    /// Legs of one index that take no more calls and end by themselves: of an edge that says goodbye again and again, the oldest is closed.
    private static let mostLingering = 2

    private struct Standing: Sendable {
        var index: Int
        var leg: Leg
        var calls: RunningCalls
        var end: AsyncStream<Void>.Continuation
    }

    /// - Parameters:
    ///   - token: asked for when the key is not enrolled.
    ///   - take: a call, and what counts it while it runs.
    init(
        _ plan: LegPlan, lane: Int, dialer: LegDialer, version: String, token: @escaping @Sendable () -> String?, times: ConnectorTimes,
        take: @escaping @Sendable (LegCall, RunningCalls) -> Void, observe: @escaping @Sendable (ConnectorEvent) -> Void
    ) {
        self.plan = plan
        self.lane = lane
        self.dialer = dialer
        self.version = version
        self.token = token
        self.times = times
        self.take = take
        self.observe = observe
    }

    /// Runs until it is cancelled, which closes its legs, or retired and its calls have ended.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                await withDiscardingTaskGroup { group in
                    for index in 0..<plan.legs { group.addTask { [self] in await keep(index) } }
                }
            }
            group.addTask { [retiring] in for await _ in retiring.stream {} }
            await group.next()
            group.cancelAll()
        }
        let left = state.withLock { Array($0.legs.values) }
        await withDiscardingTaskGroup { group in
            for standing in left {
                group.addTask { [times] in
                    // What the edge asked for before it heard the goodbye is refused, so that it asks another leg; an end would leave it in doubt.
                    try? await Task.sleep(for: .nanoseconds(times.farewell.nanoseconds))
                    await standing.calls.ended(within: .hours(24 * 365))
                    standing.leg.close()
                }
            }
        }
    }

    /// Returns when all legs have stood, or when one has and the others did not within `time`; `false` where it is retired or cancelled before that.
    func stood(within time: TimeAmount) async -> Bool {
        let isReady = await withTaskGroup(of: Bool.self) { group in
            group.addTask { [standing] in
                for await _ in standing.stream {}
                return !Task.isCancelled
            }
            group.addTask { [first] in
                // Counted from the first that stands.
                for await _ in first.stream {}
                return (try? await Task.sleep(for: .nanoseconds(time.nanoseconds))) != nil
            }
            let first = await group.next() ?? false
            group.cancelAll()
            return first
        }
        return isReady && !isRetired
    }

    private var isRetired: Bool { state.withLock { $0.isRetired } }

    /// Takes no further calls, and lets those that run end by themselves.
    func retire() {
        let legs = state.withLock { state in
            state.isRetired = true
            return Array(state.legs.values)
        }
        for standing in legs {
            standing.calls.close()
            standing.leg.sayGoodbye()
            standing.end.finish()
        }
        retiring.continuation.finish()
        first.continuation.finish()
        standing.continuation.finish()
    }

    /// Says on all legs that no further calls are taken.
    func sayGoodbye() { for standing in state.withLock({ Array($0.legs.values) }) { standing.leg.sayGoodbye() } }

    private func name(_ index: Int) -> String { lane == 0 ? "\(plan.name)/\(index)" : "\(plan.name)/\(index)-\(lane)" }

    /// Keeps one leg open: dials again when it ends, at another address, after a wait that grows.
    private func keep(_ index: Int) async {
        var backOff = LegBackOff()
        var token: String?
        var turn = index
        while !Task.isCancelled, !isRetired {
            let address = plan.edges.addresses[turn % plan.edges.addresses.count]
            let request = LegRequest(
                tunnelID: plan.tunnelID, leg: name(index), version: version, token: token,
                certificateExpires: plan.certificateExpires)
            do {
                let started = NIODeadline.now()
                try await hold(index, address, request)
                token = nil
                turn += 1
                if NIODeadline.now() - started >= times.steady {
                    backOff.succeeded()
                } else {
                    // An edge that takes a leg and drops it is not asked without pause.
                    try await Task.sleep(for: .seconds(backOff.cut(chance: .random(in: 0...1))))
                }
            } catch let error as LegRefusal {
                // A key that is not known yet is enrolled by the token, once.
                if error.reason == .notEnrolled, token == nil, let known = self.token() {
                    token = known
                    continue
                }
                token = nil
                if error.isTemporary { turn += 1 }
                let seconds = backOff.next(after: error, chance: .random(in: 0...1))
                observe(.legRefused(index: index, error, seconds: seconds))
                try? await Task.sleep(for: .seconds(seconds))
            } catch {
                if Task.isCancelled { return }
                turn += 1
                let seconds = backOff.next(isUnanswered: LegUnanswered.isSaid(by: error), chance: .random(in: 0...1))
                observe(.legFailed(index: index, edge: address.description, reason: "\(error)", seconds: seconds))
                try? await Task.sleep(for: .seconds(seconds))
            }
        }
    }

    /// Dials a leg and returns when it has ended, or the edge takes no calls on it any more: those that run go on.
    private func hold(_ index: Int, _ address: Authority, _ request: LegRequest) async throws {
        let (over, end) = AsyncStream<Void>.makeStream()
        let calls = RunningCalls()
        let events = Leg.Events(goAway: { _ in end.finish() }, call: { [take] call in take(call, calls) }, news: { [observe] in observe(.news) })
        let leg = try await dialer.dial(address, request, events)
        leg.channel.closeFuture.whenComplete { _ in end.finish() }
        let (id, isRetired, hasAll, surplus) = state.withLock { state in
            let lingering = state.legs.filter { $0.value.index == index }.sorted { $0.key < $1.key }.map(\.value.leg)
            state.next += 1
            state.legs[state.next] = Standing(index: index, leg: leg, calls: calls, end: end)
            state.stood.insert(index)
            return (state.next, state.isRetired, state.stood.count == plan.legs, lingering.dropLast(Self.mostLingering))
        }
        for old in surplus { old.close() }
        // Of a leg that was said goodbye on, until it ends by itself.
        leg.channel.closeFuture.whenComplete { [weak self] _ in self?.state.withLock { $0.legs[id] = nil } }
        if isRetired {
            calls.close()
            leg.sayGoodbye()
            return
        }
        observe(.legStands(index: index, edge: address.description))
        first.continuation.finish()
        if hasAll { standing.continuation.finish() }
        await withTaskCancellationHandler {
            for await _ in over {}
        } onCancel: {
            // One that is retired ends when its calls have.
            if !self.isRetired { leg.close() }
            end.finish()
        }
        observe(.legEnded(index: index))
    }
}
