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

    init(_ reply: ControlMessage) {
        id = reply.body["id"]?.int ?? 0
        user = reply.body["uid"]?.int ?? -1
        limits = LimitReport(json: reply.body["limits"])
        let names = (reply.body["counters"]?.array ?? []).compactMap(\.string)
        counters = LimitCounters(names: names, descriptors: reply.descriptors)
    }
}
