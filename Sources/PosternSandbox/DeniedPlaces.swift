import Glibc
import PosternSandboxWire

/// Files and folders of the worker's own that no sandbox is shown. They are compared by what they are (device and number of the file), not
/// by name: another way to the same place is the same place.
struct DeniedPlaces: Sendable {
    private let paths: [String]

    init(_ paths: [String]) {
        self.paths = paths
    }

    private struct Identity: Hashable {
        var device: dev_t
        var number: ino_t
    }

    /// - Throws: when what `descriptor` is open on is one of them, in one of them, or has one of them in it.
    func check(_ descriptor: Int32, _ what: String) throws(SandboxError) {
        guard !paths.isEmpty else { return }
        guard let own = Self.identity(descriptor) else { throw SandboxError(.refused, "\(what) cannot be looked at: \(SystemError.reason(errno))") }
        let above = try Self.chain(of: descriptor, what)
        for path in paths {
            let place = open(path, HostFolder.pathOnly | O_CLOEXEC)
            // What is not there cannot be shown.
            guard place >= 0 else { continue }
            defer { close(place) }
            guard let identity = Self.identity(place) else { continue }
            let chain = try Self.chain(of: place, path)
            if above.contains(identity) || chain.contains(own) {
                throw SandboxError(.refused, "\(what) is, is in or holds '\(path)', which is the worker's own and is never shown in a sandbox")
            }
        }
    }

    private static func identity(_ descriptor: Int32) -> Identity? {
        var info = stat()
        return fstat(descriptor, &info) == 0 ? Identity(device: info.st_dev, number: info.st_ino) : nil
    }

    /// The place itself and all folders above it. For a file, those above the folder that its present name is in.
    private static func chain(of descriptor: Int32, _ what: String) throws(SandboxError) -> Set<Identity> {
        var found: Set<Identity> = []
        var current = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
        defer { if current >= 0 { close(current) } }
        var info = stat()
        if current >= 0, fstat(current, &info) == 0, info.st_mode & S_IFMT != S_IFDIR {
            if let own = identity(current) { found.insert(own) }
            let parent = try HostFolder.parent(ofOpen: current, what)
            close(current)
            current = parent
        }
        for _ in 0..<4096 {
            guard current >= 0, let here = identity(current) else { break }
            guard found.insert(here).inserted else { return found }
            // A folder that can be gone through need not be one that can be listed.
            let up = openat(current, "..", HostFolder.pathOnly | O_DIRECTORY | O_CLOEXEC)
            close(current)
            current = up
        }
        throw SandboxError(.refused, "it cannot be found out what '\(what)' is in: \(SystemError.reason(errno))")
    }
}
