import Glibc
import PosternSandboxWire

/// File systems of the sandbox that have no room left: what a command that swallows its errors does not tell. Each is told of once until it has
/// room again.
struct FullFileSystems {
    private let places: [String]
    private var told: Set<String> = []

    init(home: String) { places = ["/tmp", home, "/dev/shm", SandboxPaths.workspace] }

    /// Those that have become full since the last look.
    mutating func news() -> [String] {
        let full = places.filter(Self.isFull)
        defer { told = Set(full) }
        return full.filter { !told.contains($0) }
    }

    private static func isFull(_ place: String) -> Bool {
        var status = statvfs()
        guard statvfs(place, &status) == 0, status.f_blocks > 0 else { return false }
        // A file system without a bound on its files says that it has none.
        return status.f_bavail == 0 || status.f_files > 0 && status.f_favail == 0
    }
}
