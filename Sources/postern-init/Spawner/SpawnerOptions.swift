import Glibc
import PosternSandboxWire

/// How a spawner is set up; given once, by the worker, before any session exists.
struct SpawnerOptions {
    /// Where bubblewrap is; `nil` when it is in none of the usual places. Only `start` with that driver needs it.
    var bubblewrap: String? = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"].first { Program.isExecutable($0) }
    /// Users that sessions run as, if the spawner is root. Never 0.
    var users: ClosedRange<uid_t> = 210_000...219_999
    /// The program of egress proxies; `nil` where none is ever started.
    var proxyProgram: String?
    /// Users that proxies run as, if the spawner is root: none of them is ever a session's.
    var proxyUsers: ClosedRange<uid_t> { (users.upperBound + 1)...(users.upperBound + 10_000) }

    /// Of a worker that is not root itself; `nil` where it is whoever the spawner is.
    var rights: WorkerRights?

    /// Only in tests.
    var unsafe: UnsafeLayers?
    /// The layers of every sandbox: all, but in tests.
    var layers: Set<SandboxLayer> { unsafe?.layers ?? Set(SandboxLayer.allCases) }

    init?(arguments: [String]) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { return nil }
            switch name {
            case "--bwrap": bubblewrap = Program.isExecutable(value) ? value : nil
            case "--uids":
                let bounds = value.split(separator: "-").compactMap { uid_t($0) }
                // Below 1000 are the system's own users.
                guard bounds.count == 2, bounds[0] >= 1000, bounds[0] <= bounds[1], bounds[1] < uid_t.max - 10_001 else { return nil }
                users = bounds[0]...bounds[1]
            case "--proxy-program": proxyProgram = value
            case "--worker":
                guard rights == nil, let user = uid_t(value), user != 0 else { return nil }
                rights = WorkerRights(user: user)
            case "--tree":
                guard rights != nil, let tree = ServedTree(value) else { return nil }
                rights?.trees.append(tree)
            case "--file", "--deny":
                guard rights != nil, value.hasPrefix("/") else { return nil }
                if name == "--file" { rights?.files.append(value) } else { rights?.denied.append(value) }
            case "--driver":
                guard rights != nil, value == "none" else { return nil }
                rights?.mayBeUnconfined = true
            case UnsafeLayers.option:
                guard let layers = UnsafeLayers(value) else { return nil }
                unsafe = layers
            default: return nil
            }
        }
    }
}
