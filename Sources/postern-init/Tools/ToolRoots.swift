import CPosternSandbox
import Glibc
import PosternSandboxWire

/// The folders that file tools may reach, and the path policy of the tool contract (section 8.1). The policy is courtesy towards the
/// model; the boundary is the sandbox, whose mounts and credentials a tool runs with.
struct ToolRoots {
    let workspace: String
    /// Read-only for the file tools.
    let outputs: String
    let home: String

    private static let mostLinks = 40

    /// A path with every link followed, of which only the tail may not exist yet.
    struct Resolved {
        /// Absolute, canonical, as bytes without the slash before each.
        var components: [[UInt8]]
        var bytes: [UInt8] { ToolRoots.joined(components) }
        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    /// Where `path`, as the model wrote it, leads; refused outside the roots.
    func resolve(_ tool: String, _ path: String) throws(ToolFailure) -> Resolved {
        let absolute = path.hasPrefix("/") ? path : workspace + "/" + path
        let resolved = Resolved(components: try Self.canonical(tool, path, Self.collapsed(Array(absolute.utf8))))
        guard isBelow(resolved, workspace) || isBelow(resolved, outputs) else {
            throw ToolFailure(
                "\(tool): path '\(path)' is outside the session's working directory and its other permitted directories",
                refusal: .toolRoots)
        }
        return resolved
    }

    /// The same for a tool that changes the file.
    func resolveForWriting(_ tool: String, _ path: String) throws(ToolFailure) -> Resolved {
        let resolved = try resolve(tool, path)
        guard isBelow(resolved, workspace) else {
            throw ToolFailure("\(tool): \(path) is inside read-only directory \(outputs)", refusal: .toolRoots)
        }
        return resolved
    }

    private func isBelow(_ resolved: Resolved, _ root: String) -> Bool {
        resolved.components.starts(with: Self.collapsed(Array(root.utf8)))
    }

    private static func joined(_ components: [[UInt8]]) -> [UInt8] {
        components.isEmpty ? [0x2F] : components.reduce(into: []) { path, part in path += [0x2F] + part }
    }

    /// `.` and `..` and empty parts taken out by text.
    private static func collapsed(_ path: [UInt8]) -> [[UInt8]] {
        var parts: [[UInt8]] = []
        for part in path.split(separator: 0x2F).map({ Array($0) }) {
            if part == [0x2E] { continue }
            if part == [0x2E, 0x2E] { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts
    }

    private static func canonical(_ tool: String, _ shown: String, _ parts: [[UInt8]]) throws(ToolFailure) -> [[UInt8]] {
        var waiting = Array(parts.reversed())
        var done: [[UInt8]] = []
        var links = 0
        while let part = waiting.popLast() {
            if part == [0x2E] { continue }
            if part == [0x2E, 0x2E] {
                _ = done.popLast()
                continue
            }
            let path = joined(done + [part])
            guard let info = Posix.status(AT_FDCWD, path, follow: false) else {
                // What does not exist has no links; ENOTDIR is left for the operation to report.
                guard errno == ENOENT || errno == ENOTDIR else { throw failure(tool, shown, errno) }
                done.append(part)
                continue
            }
            guard Posix.isKind(info, S_IFLNK) else {
                done.append(part)
                continue
            }
            links += 1
            guard links <= mostLinks else { throw failure(tool, shown, ELOOP) }
            guard let target = Posix.link(AT_FDCWD, path) else { throw failure(tool, shown, errno) }
            if target.first == 0x2F { done = [] }
            waiting.append(contentsOf: target.split(separator: 0x2F).map { Array($0) }.reversed())
        }
        return done
    }

    private static func failure(_ tool: String, _ shown: String, _ code: Int32) -> ToolFailure {
        ToolFailure("\(tool): path '\(shown)': \(SystemError.reason(code))", refusal: FileRefusal(errno: code))
    }

    /// Opens what `resolved` names, following no link at any step: one put in its place since is refused. Never waits for a FIFO.
    static func open(_ resolved: Resolved, _ flags: Int32, mode: mode_t = 0, makingFolders: Bool = false) throws(SystemFailure) -> Int32 {
        var folder = Glibc.open("/", psb_open_path | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw SystemFailure("open /") }
        defer { close(folder) }
        for part in resolved.components.dropLast() {
            var next = Posix.open(folder, part, psb_open_path | O_DIRECTORY | O_NOFOLLOW)
            if next < 0, errno == ENOENT, makingFolders {
                if Posix.withPath(part, { mkdirat(folder, $0, 0o777) }) < 0, errno != EEXIST { throw SystemFailure("mkdir") }
                next = Posix.open(folder, part, psb_open_path | O_DIRECTORY | O_NOFOLLOW)
            }
            guard next >= 0 else { throw SystemFailure("open") }
            close(folder)
            folder = next
        }
        let descriptor = Posix.open(folder, resolved.components.last ?? [0x2E], flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode)
        guard descriptor >= 0 else { throw SystemFailure("open") }
        return descriptor
    }
}
