import PosternJSON

/// A file or folder of the host that is shown in a sandbox.
package struct SandboxBind: Sendable, Hashable {
    /// Absolute, without links on the way; opened by the worker, never walked by the spawner.
    package var hostPath: String
    /// Where it is inside, absolute. Nothing of the sandbox's own may be covered: see `refusal`.
    package var path: String
    package var isWritable: Bool

    package init(hostPath: String, path: String? = nil, isWritable: Bool = false) {
        self.hostPath = hostPath
        self.path = path ?? hostPath
        self.isWritable = isWritable
    }

    /// Places that the sandbox is made of, at or above which nothing is bound.
    private static let own = [
        "/", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/dev", "/dev/shm", "/sys", "/tmp", "/var", "/run",
        "/run/postern", "/mnt", "/mnt/session", SandboxPaths.workspace, SandboxPaths.toolOutputs, "/home", SandboxPaths.home, "/root", "/boot",
    ]
    /// Places at, above or below which nothing is bound.
    private static let closed = ["/proc", "/dev", "/sys", "/run/postern", SandboxPaths.toolOutputs, "/etc", "/boot"]

    /// Why `path` may not be a place inside, `nil` when it may.
    package static func refusal(ofPlace path: String) -> String? {
        guard path.hasPrefix("/"), path.utf8.count < 1024, !path.utf8.contains(0) else { return "it must be an absolute path" }
        let parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        guard path == "/" || parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
            return "it must not have empty parts, '.' or '..'"
        }
        if own.contains(path) { return "the sandbox has its own '\(path)'" }
        if let place = closed.first(where: { path.hasPrefix($0 + "/") }) { return "nothing of the host is shown below '\(place)'" }
        return nil
    }

    /// Without the host's path: the descriptor goes beside it.
    package var json: JSON { ["path": .string(path), "writable": .bool(isWritable)] }
}
