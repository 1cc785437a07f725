import FoundationEssentials
import NIOCore
import NIOPosix
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire
import Synchronization

/// A connector: holds legs to the edges open from inside a network, and serves the calls that come over them.
package final class Connector: Sendable {
    private let configuration: ConnectorConfiguration
    private let material: ConnectorMaterial
    private let version: String
    private let dialer: LegDialer
    private let server: CallServer
    private let times: ConnectorTimes
    private let observe: @Sendable (ConnectorEvent) -> Void
    private let calls: (stream: AsyncStream<LegCall>, continuation: AsyncStream<LegCall>.Continuation)
    private let state = Mutex(State())
    private let running = RunningCalls()

    private struct State {
        var legs: [Int: Leg] = [:]
        var nextLeg = 1
    }

    /// - Parameters:
    ///   - resolve: names of edges and upstreams.
    ///   - audit: the log for calls; `nil` for none.
    ///   - observe: hears of what happens, on tasks and event loops: it must not wait.
    package init(
        _ configuration: ConnectorConfiguration, _ material: ConnectorMaterial, version: String, resolve: @escaping ConnectorResolver,
        audit: ConnectorAudit? = nil, times: ConnectorTimes = ConnectorTimes(), group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        now: @escaping @Sendable () -> Date = { Date() }, observe: @escaping @Sendable (ConnectorEvent) -> Void
    ) throws {
        self.configuration = configuration
        self.material = material
        self.version = version
        self.times = times
        self.observe = observe
        dialer = LegDialer(edges: configuration.edges, tls: try material.outerTLS(), resolve: resolve, group: group, times: times)
        var dialers: [String: UpstreamDialer] = [:]
        var guards: [String: RouteGuard] = [:]
        for (name, route) in configuration.routes {
            guards[name] = route.policy.map(RouteGuard.init)
            dialers[name] = UpstreamDialer(
                route: route, tls: route.upstream.isTLS ? try material.upstreamTLS(name) : nil, resolve: resolve, group: group, time: times.upstream)
        }
        let run = UInt32.random(in: .min ... .max)
        let count = Atomic(0)
        server = CallServer(
            configuration: configuration, material: material, inner: try material.innerTLS(), dialers: dialers, guards: guards, times: times,
            now: now,
            newID: { "call_\(String(run, radix: 36))_\(count.add(1, ordering: .relaxed).newValue)" }, audit: audit, observe: observe)
        calls = AsyncStream.makeStream()
    }

    /// Runs until `drain` or until it is cancelled.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                await withDiscardingTaskGroup { group in
                    for index in 0..<configuration.legs { group.addTask { [self] in await keep(index) } }
                }
            }
            group.addTask { [self] in
                await withDiscardingTaskGroup { group in
                    for await call in calls.stream {
                        group.addTask { [self] in
                            await server.serve(call)
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
        for leg in state.withLock({ Array($0.legs.values) }) { leg.sayGoodbye() }
        await running.ended(within: times.drain)
        calls.continuation.finish()
    }

    /// Runs on the leg's event loop.
    private func take(_ call: LegCall) {
        if running.enter() { calls.continuation.yield(call) } else { call.refuse() }
    }

    // MARK: Legs

    /// Keeps one leg open: dials again when it ends, at another address, after a wait that grows.
    private func keep(_ index: Int) async {
        var backOff = LegBackOff()
        var token: String?
        var turn = index
        while !Task.isCancelled, !running.isClosed {
            let address = configuration.edges.addresses[turn % configuration.edges.addresses.count]
            let request = LegRequest(
                tunnelID: configuration.tunnel.id, leg: "\(configuration.name)/\(index)", version: version, token: token)
            do {
                let started = NIODeadline.now()
                try await hold(index, address, request)
                token = nil
                turn += 1
                if NIODeadline.now() - started >= times.steady {
                    backOff.succeeded()
                } else {
                    // An edge that takes a leg and drops it is not asked without pause.
                    try await Task.sleep(for: .seconds(backOff.next(chance: .random(in: 0...1))))
                }
            } catch let error as LegRefusal {
                // A key that is not known yet is enrolled by the token, once.
                if error.reason == .notEnrolled, token == nil, let known = material.token {
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
                let seconds = backOff.next(isUnanswered: error is LegUnanswered, chance: .random(in: 0...1))
                observe(.legFailed(index: index, edge: address.description, reason: "\(error)", seconds: seconds))
                try? await Task.sleep(for: .seconds(seconds))
            }
        }
    }

    /// Dials a leg and returns when it has ended, or the edge takes no calls on it any more: those that run go on.
    private func hold(_ index: Int, _ address: Authority, _ request: LegRequest) async throws {
        let (over, end) = AsyncStream<Void>.makeStream()
        let events = Leg.Events(goAway: { _ in end.finish() }, call: { [weak self] call in if let self { take(call) } else { call.refuse() } })
        let leg = try await dialer.dial(address, request, events)
        leg.channel.closeFuture.whenComplete { _ in end.finish() }
        let id = state.withLock { state in
            state.nextLeg += 1
            state.legs[state.nextLeg] = leg
            return state.nextLeg
        }
        observe(.legStands(index: index, edge: address.description))
        // Of a leg that was said goodbye on, until it ends by itself.
        leg.channel.closeFuture.whenComplete { [weak self] _ in self?.state.withLock { $0.legs[id] = nil } }
        await withTaskCancellationHandler {
            for await _ in over {}
        } onCancel: {
            leg.close()
            end.finish()
        }
        observe(.legEnded(index: index))
    }
}
