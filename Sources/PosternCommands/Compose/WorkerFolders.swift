#if canImport(CoreFoundation)
// Where files are compiled together, `stat` counts as CoreFoundation's, which swift-certificates brings along.
import CoreFoundation
#endif

import CPosternSandbox
import Glibc

#if canImport(CoreFoundation)
// Where many files are compiled at once, `stat` counts as CoreFoundation's, which swift-certificates brings along.
import CoreFoundation
#endif

/// Makes a worker's folders and makes them over to the user that it goes on as, while it still is root. By descriptor, never through a link,
/// and never more than what is Postern's own: what belongs to sessions stays theirs, and a folder that holds anything else is refused.
struct WorkerFolders {
    let user: WorkerUser

    /// - Parameters:
    ///   - workdir: `nil` where sessions share a folder of somebody's.
    ///   - state: of an earlier worker that stayed root, it is taken over.
    func prepare(workdir: String?, state: String, mirror: String?) throws(CommandError) {
        if let workdir { try makeOver(workdir, remedy: "--workdir") { (folder) throws(CommandError) in try checkWorkdir(folder, workdir, state) } }
        try makeOver(state, remedy: "--state-dir") { (folder) throws(CommandError) in try takeState(folder, state) }
        if let mirror { try makeOver(mirror, remedy: "--audit-mirror") { (folder) throws(CommandError) in try takeMirror(folder, mirror) } }
    }

    // MARK: One folder

    /// - Parameter prepare: looks at, and makes over, what is in a folder of root's.
    private func makeOver(_ path: String, remedy flag: String, _ prepare: (Int32) throws(CommandError) -> Void) throws(CommandError) {
        let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        if !parent.isEmpty { try TextFile.makeFolder(parent, mode: 0o711) }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw Self.failure("make", path, errno) }
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard folder >= 0 else { throw Self.failure("open", path, errno) }
        defer { close(folder) }
        var info = stat()
        guard fstat(folder, &info) == 0 else { throw Self.failure("look at", path, errno) }
        guard info.st_uid == 0 || info.st_uid == user.number else {
            throw refusal(
                "\(path) belongs to user \(info.st_uid), and the worker goes on as user \(user.number)",
                "name another folder with \(flag), or that user with --user, or: chown \(user.number) '\(path)'")
        }
        guard info.st_mode & 0o022 == 0 else {
            throw refusal("others than its owner can write in \(path)", "chmod go-w '\(path)'")
        }
        guard info.st_uid == 0 else { return }
        try prepare(folder)
        // Last: a start that was interrupted begins anew.
        guard fchown(folder, user.number, user.group) == 0 else { throw Self.failure("make over", path, errno) }
    }

    /// Workspaces of an earlier worker stay whose they are.
    private func checkWorkdir(_ folder: Int32, _ path: String, _ state: String) throws(CommandError) {
        let made = Self.names("\(state)/workspaces")
        for name in try Self.names(of: folder, path) where !name.hasPrefix(".postern") && "\(path)/\(name)" != state {
            guard made.contains(name) || name.hasSuffix(".seed") && made.contains(String(name.dropLast(5))) else {
                throw foreign(path, name, "--workdir")
            }
        }
    }

    /// The files of an earlier worker that was root.
    private func takeState(_ folder: Int32, _ path: String) throws(CommandError) {
        let names = try Self.names(of: folder, path)
        guard names.isEmpty || names.contains("lock") else { throw foreign(path, names.first ?? "", "--state-dir") }
        if names.contains("lock") {
            let lock = openat(folder, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC)
            defer { if lock >= 0 { close(lock) } }
            guard lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 else {
                throw refusal("another worker holds \(path)", "stop it first, or give each worker its own state folder (--state-dir or --workdir)")
            }
        }
        for name in ["sessions", "workspaces", "outputs", "changes"] where names.contains(name) {
            let inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard inner >= 0 else { throw Self.failure("open", "\(path)/\(name)", errno) }
            defer { close(inner) }
            // What is in the two others belongs to sessions.
            if name == "sessions" || name == "workspaces" {
                for file in try Self.names(of: inner, "\(path)/\(name)") { try takeFile(inner, file, "\(path)/\(name)/\(file)") }
            }
            var info = stat()
            guard fstat(inner, &info) == 0, info.st_uid == user.number || info.st_uid == 0 && fchown(inner, user.number, user.group) == 0 else {
                throw Self.failure("make over", "\(path)/\(name)", EPERM)
            }
        }
        for name in names where !["sessions", "workspaces", "outputs", "changes"].contains(name) { try takeFile(folder, name, "\(path)/\(name)") }
    }

    private func takeMirror(_ folder: Int32, _ path: String) throws(CommandError) {
        let names = try Self.names(of: folder, path)
        if let other = names.first(where: { !$0.hasSuffix(".checkpoints.jsonl") }) { throw foreign(path, other, "--audit-mirror") }
        for name in names { try takeFile(folder, name, "\(path)/\(name)") }
    }

    /// Makes a regular file of root's over that has no other name. Sockets, which the next worker replaces, and what is the user's stay.
    private func takeFile(_ folder: Int32, _ name: String, _ path: String) throws(CommandError) {
        let file = openat(folder, name, psb_open_path | O_NOFOLLOW | O_CLOEXEC)
        guard file >= 0 else { throw Self.failure("open", path, errno) }
        defer { close(file) }
        var info = stat()
        guard fstat(file, &info) == 0 else { throw Self.failure("look at", path, errno) }
        if info.st_mode & S_IFMT == S_IFSOCK || info.st_uid == user.number { return }
        guard info.st_mode & S_IFMT == S_IFREG, info.st_uid == 0, info.st_nlink == 1 else {
            throw refusal(
                "\(path) is no file of an earlier worker: it is a link, a folder, has a second name or belongs to user \(info.st_uid)", "remove it")
        }
        guard fchownat(file, "", user.number, user.group, Self.emptyPath) == 0 else { throw Self.failure("make over", path, errno) }
    }

    // MARK: Words

    private func refusal(_ problem: String, _ remedy: String) -> CommandError {
        CommandError(.configuration, "\(problem): \(remedy). With --user root the worker stays root, which is a layer less")
    }

    private func foreign(_ path: String, _ name: String, _ flag: String) -> CommandError {
        refusal(
            "\(path) belongs to root and holds \(Terminal.visible(name)), which is not Postern's, so it is not made over to user \(user.number)",
            "name another folder with \(flag), or: chown \(user.number) '\(path)'")
    }

    private static func failure(_ verb: String, _ path: String, _ code: Int32) -> CommandError {
        CommandError(.failure, "cannot \(verb) \(path): \(String(cString: strerror(code)))")
    }

    // MARK: Names

    /// AT_EMPTY_PATH, which Swift does not see.
    private static let emptyPath: Int32 = 0x1000

    private static func names(of folder: Int32, _ path: String) throws(CommandError) -> [String] {
        let own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard own >= 0, let directory = fdopendir(own) else { throw failure("list", path, errno) }
        return read(directory)
    }

    private static func names(_ path: String) -> Set<String> { opendir(path).map { Set(read($0)) } ?? [] }

    private static func read(_ directory: OpaquePointer) -> [String] {
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
