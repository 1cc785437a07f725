import PosternJSON

/// A file or folder of the host that is shown in a sandbox.
package struct SandboxBind: Sendable, Hashable {
    /// Absolute, without links on the way; opened by the worker, never walked by the spawner.
    package var hostPath: String
    /// Where it is inside, absolute. Nothing of the sandbox's own may be covered: see `refusal`.
    package var path: String
    package var isWritable: Bool
    /// Patterns (`PathGlob`) relative to the folder of what in it the session may not see, and may not change; looked for when the sandbox
    /// starts. Hidden wins. Of a single file its own name is asked: hidden, it is not bound; protected, it is read-only.
    package var hidden: [String]
    package var protected: [String]

    package init(hostPath: String, path: String? = nil, isWritable: Bool = false, hidden: [String] = [], protected: [String] = []) {
        self.hostPath = hostPath
        self.path = path ?? hostPath
        self.isWritable = isWritable
        self.hidden = hidden
        self.protected = protected
    }

    /// Places that the sandbox is made of, at or above which nothing is bound.
    private static let own = [
        "/", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/dev", "/dev/shm", "/sys", "/tmp", "/var", "/var/tmp",
        "/run",
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
    package var json: JSON {
        [
            "path": .string(path), "writable": .bool(isWritable), "hidden": .array(hidden.map(JSON.string)),
            "protected": .array(protected.map(JSON.string)),
        ]
    }

    /// What `json` gave. The host's path was not sent: the place inside stands for it. What is no text becomes an empty pattern, which is
    /// refused as such. `nil` without a place.
    package init?(json: JSON) {
        guard let path = json["path"]?.string else { return nil }
        func patterns(_ name: String) -> [String] { (json[name]?.array ?? []).map { $0.string ?? "" } }
        self.init(
            hostPath: path, isWritable: json["writable"]?.bool ?? false, hidden: patterns("hidden"), protected: patterns("protected"))
    }
}
