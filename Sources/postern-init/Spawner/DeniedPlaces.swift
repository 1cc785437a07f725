import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Files and folders of an unprivileged worker's own that no sandbox is shown, as the type of the same name in the worker has it: compared by
/// device and number of the file, not by name. The worker cannot look everywhere; root can.
struct DeniedPlaces {
    let paths: [String]
    /// The mount namespace that the paths mean.
    let outer: Int32

    private struct Identity: Hashable {
        var device: dev_t
        var number: ino_t
    }

    /// - Throws: when what `descriptor` is open on is one of them, in one of them, or has one of them in it.
    func check(_ descriptor: Int32, _ what: String) throws(SpawnerFailure) {
        let above = try chain(of: descriptor, what)
        for path in paths {
            let place = psb_open_outside(outer, path, nil, psb_open_path)
            // What is not there cannot be shown.
            guard place >= 0 else { continue }
            defer { close(place) }
            guard let own = Self.identity(descriptor), let identity = Self.identity(place) else { continue }
            let chain = try chain(of: place, path)
            if above.contains(identity) || chain.contains(own) {
                throw SpawnerFailure(text: "the \(what) is, is in or holds '\(path)', which is the worker's own and is never shown in a sandbox")
            }
        }
    }

    private static func identity(_ descriptor: Int32) -> Identity? {
        Posix.status(descriptor).map { Identity(device: $0.st_dev, number: $0.st_ino) }
    }

    /// The place itself and all folders above it. For a file, those above the folder that its present name is in.
    private func chain(of descriptor: Int32, _ what: String) throws(SpawnerFailure) -> Set<Identity> {
        var found: Set<Identity> = []
        var current = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
        defer { if current >= 0 { close(current) } }
        if current >= 0, let info = Posix.status(current), !Posix.isKind(info, S_IFDIR) {
            if let own = Self.identity(current) { found.insert(own) }
            let path = try SessionView.path(of: current)
            close(current)
            let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
            current = psb_open_outside(outer, folder.isEmpty ? "/" : folder, nil, psb_open_path | O_DIRECTORY)
        }
        for _ in 0..<4096 {
            guard current >= 0, let here = Self.identity(current) else { break }
            guard found.insert(here).inserted else { return found }
            let up = openat(current, "..", psb_open_path | O_DIRECTORY | O_CLOEXEC)
            close(current)
            current = up
        }
        throw SpawnerFailure(text: "it cannot be found out what '\(what)' is in")
    }
}
