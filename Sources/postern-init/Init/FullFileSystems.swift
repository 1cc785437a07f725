import Glibc
import PosternSandboxWire

/// File systems of the sandbox that have no room left: what a command that swallows its errors does not tell. Each is told of once until it has
/// room again.
struct FullFileSystems {
    private let places: [String]
    private var told: Set<String> = []

    /// - Parameter asksWorkspace: a workspace may be on a network file system that does not answer, so it is asked only where it is measured anyhow.
    init(home: String, asksWorkspace: Bool) { places = ["/tmp", home, "/dev/shm"] + (asksWorkspace ? [SandboxPaths.workspace] : []) }

    /// Those that have become full since the last look.
    mutating func news() -> [String] {
        let full = places.filter(Self.isFull)
        defer { told = Set(full) }
        return full.filter { !told.contains($0) }
    }

    private static func isFull(_ place: String) -> Bool {
        var status = statvfs()
        // One that is read-only is not the session's to make room on, and some of them always say that they are full.
        guard statvfs(place, &status) == 0, status.f_blocks > 0, status.f_flag & UInt(ST_RDONLY) == 0 else { return false }
        // A file system without a bound on its files says that it has none.
        return status.f_bavail == 0 || status.f_files > 0 && status.f_favail == 0
    }
}
