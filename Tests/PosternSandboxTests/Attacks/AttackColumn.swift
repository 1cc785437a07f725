import Glibc
import PosternSandbox
import PosternSandboxWire

/// One way to start a sandbox for the attack suite: with all layers, with one of them, with none.
enum AttackColumn: String, CaseIterable, Sendable {
    case none, mounts, namespaces, network, seccomp, landlock, user
    case allAsRoot, allAsUser
    /// Not a layer by itself: what the rows that take all layers are worth.
    case wide

    /// Those that this process can start: a user of its own for each session takes root.
    static var possible: [AttackColumn] { allCases.filter { geteuid() == 0 || !$0.isRoot } }

    /// In the rows of Tests/Attacks and at the head of the matrix.
    var letter: String {
        switch self {
        case .none: "0"
        case .mounts: "M"
        case .namespaces: "N"
        case .network: "T"
        case .seccomp: "S"
        case .landlock: "L"
        case .user: "U"
        case .allAsRoot: "all/root"
        case .allAsUser: "all/user"
        case .wide: "wide"
        }
    }

    var meaning: String {
        switch self {
        case .none: "no layer: the init's own hardening, as the victim's user"
        case .mounts: "mounts only: a small root"
        case .namespaces: "user, process, IPC, UTS and cgroup namespaces only"
        case .network: "the network namespace only"
        case .seccomp: "the seccomp filter only"
        case .landlock: "Landlock only"
        case .user: "a user of its own only"
        case .allAsRoot: "all layers, spawner started as root"
        case .allAsUser: "all layers but the user of its own, spawner started as an ordinary user"
        case .wide: "all/user again, but with wide limits, nothing protected and nothing scanned; only the rows that no single layer is asked about"
        }
    }

    var hasAllLayers: Bool { self == .allAsRoot || self == .allAsUser }

    /// Started by a root spawner, which gives the sandbox a user of its own.
    var isRoot: Bool { self == .user || self == .allAsRoot }

    /// For the spawner; `nil` is all.
    var unsafeLayers: Set<SandboxLayer>? {
        switch self {
        case .none, .user: []
        case .allAsRoot, .allAsUser, .wide: nil
        default: SandboxLayer(rawValue: rawValue).map { [$0] } ?? []
        }
    }

    /// The user that all of the host's things in this column belong to: another one for each column, since some of these sandboxes see
    /// the processes of their user.
    var victim: UInt32 {
        guard geteuid() == 0 else { return getuid() }
        return 54_400 + UInt32(Self.allCases.firstIndex(of: self) ?? 0)
    }

    /// How the spawner is started: with a session keyring that holds a key named `key`, and unless it is to be root, as the victim's user.
    func configuration(key: String) -> Spawner.Configuration {
        var configuration = Spawner.Configuration()
        configuration.unsafeLayers = unsafeLayers
        configuration.prefix = [
            "/usr/bin/python3", "-c",
            "import ctypes,os,sys;l=ctypes.CDLL(None);l.syscall(250,1,None);l.syscall(248,b'user',sys.argv[1].encode(),b'x',1,ctypes.c_long(-3));os.execv(sys.argv[2],sys.argv[2:])",
            key,
        ]
        if geteuid() == 0, !isRoot {
            configuration.prefix += ["/usr/bin/setpriv", "--reuid", "\(victim)", "--regid", "\(victim)", "--clear-groups"]
        }
        return configuration
    }
}
