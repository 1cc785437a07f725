import NIOCore
import Synchronization

/// The routes whose servers the connector starts. One whose part of the document stays as it is keeps its sessions when the document is read again.
final class ChildRoutes: Sendable {
    private struct Known {
        var settings: ChildSettings
        var secrets: [ChildSecret]
        var route: ChildRoute
    }

    private let launcher: any ChildLauncher
    private let times: ConnectorTimes
    private let group: any EventLoopGroup
    private let observe: @Sendable (ConnectorEvent) -> Void
    private let known = Mutex<[String: Known]>([:])
    private let begun = AsyncStream<ChildRoute>.makeStream()

    init(
        launcher: any ChildLauncher, times: ConnectorTimes, group: any EventLoopGroup, observe: @escaping @Sendable (ConnectorEvent) -> Void
    ) {
        (self.launcher, self.times, self.group, self.observe) = (launcher, times, group, observe)
    }

    /// The route of that name, a new one where it is to be another than before; the old one ends then, with its sessions.
    func route(_ name: String, _ settings: ChildSettings, _ secrets: [ChildSecret]) -> ChildRoute {
        let (route, old) = known.withLock { known -> (ChildRoute, ChildRoute?) in
            if let same = known[name], same.settings == settings, same.secrets == secrets { return (same.route, nil) }
            let route = ChildRoute(name, settings, secrets: secrets, launcher: launcher, times: times, group: group, observe: observe)
            let old = known.updateValue(Known(settings: settings, secrets: secrets, route: route), forKey: name)?.route
            begun.continuation.yield(route)
            return (route, old)
        }
        old?.end()
        return route
    }

    /// Ends the routes that are not among `names`.
    func keep(only names: Set<String>) {
        let gone = known.withLock { known in
            let gone = known.filter { !names.contains($0.key) }
            for name in gone.keys { known[name] = nil }
            return gone.values.map(\.route)
        }
        for route in gone { route.end() }
    }

    /// Serves until it is cancelled; every child has ended then.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await route in begun.stream { group.addTask { await route.run() } }
            group.cancelAll()
        }
    }
}
