import Glibc

/// Finds programs as a shell does.
enum Program {
    /// The path of `name`: itself when it has a slash, else the first hit on the environment's PATH.
    static func find(_ name: String, environment: [String], directory: Int32) -> String? {
        guard !name.isEmpty else { return nil }
        if name.utf8.contains(UInt8(ascii: "/")) { return isExecutable(name, directory) ? name : nil }
        return folders(environment).map { "\($0)/\(name)" }.first { isExecutable($0, directory) }
    }

    /// The absolute entries of PATH.
    static func folders(_ environment: [String]) -> [String] {
        let path = environment.first { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? ""
        return path.split(separator: ":").map(String.init).filter { $0.hasPrefix("/") }
    }

    static func isExecutable(_ path: String, _ directory: Int32 = AT_FDCWD) -> Bool {
        guard let info = Posix.status(directory, Array(path.utf8), follow: true), Posix.isKind(info, S_IFREG) else { return false }
        return faccessat(directory, path, X_OK, 0) == 0
    }
}

/// All processes below this one, for a supervisor that has no process namespace of its own.
enum Descendants {
    /// Kills all that descend from `root`, which is this process if nothing else is said, but not `root`.
    static func kill(below root: pid_t = getpid()) {
        for pid in list(below: root) { _ = Glibc.kill(pid, SIGKILL) }
    }

    /// All that descend from `root`, but not `root`.
    static func list(below root: pid_t) -> [pid_t] {
        var found: [pid_t] = []
        var next = children(of: root)
        while !next.isEmpty {
            found.append(contentsOf: next)
            next = next.flatMap(children)
        }
        return found
    }

    /// The children of every thread of `pid`.
    static func children(of pid: pid_t) -> [pid_t] {
        let threads = Posix.open(AT_FDCWD, Array("/proc/\(pid)/task".utf8), O_RDONLY | O_DIRECTORY)
        guard threads >= 0 else { return [] }
        defer { close(threads) }
        return (Posix.names(of: threads) ?? []).flatMap { thread -> [pid_t] in
            let list = Posix.open(threads, thread + Array("/children".utf8), O_RDONLY)
            guard list >= 0 else { return [] }
            defer { close(list) }
            var bytes = [UInt8](repeating: 0, count: 1 << 16)
            let count = bytes.withUnsafeMutableBytes { Posix.read(list, into: $0) } ?? 0
            return String(decoding: bytes[..<count], as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
        }
    }
}
