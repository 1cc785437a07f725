import Glibc
import PosternJSON
import PosternSandboxWire

/// What the spawner says of a sandbox that it has started.
struct StartedSandbox: Sendable {
    var id: Int
    /// Whom it runs as, outside.
    var user: Int
    /// Who enforces which limit.
    var limits: LimitReport
    var counters: LimitCounters
    /// How it ended, which may be before anybody asks.
    var exit: OneValue<SpawnerConnection.Exit>

    init(_ reply: ControlMessage, exit: OneValue<SpawnerConnection.Exit>) {
        self.exit = exit
        id = reply.body["id"]?.int ?? 0
        user = reply.body["uid"]?.int ?? -1
        limits = LimitReport(json: reply.body["limits"])
        let names = (reply.body["counters"]?.array ?? []).compactMap(\.string)
        counters = LimitCounters(names: names, descriptors: reply.descriptors)
    }
}
