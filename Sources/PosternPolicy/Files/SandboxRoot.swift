/// What every sandbox has at its own places, whatever the policy: nothing of the host can be bound over it.
package enum SandboxRoot {
    /// Programs and libraries of the host, read-only, the same for every session.
    package static let system = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"]
    /// Empty, writable, the session's own, and gone with it.
    package static let `private` = ["/tmp", "/var/tmp", "/home/agent"]
    /// Places at which nothing is bound: the sandbox is made of them. Below those that are not in `closed` something may be.
    private static let own =
        system + ["/", "/tmp", "/var", "/var/tmp", "/run", "/mnt", "/mnt/session", "/workspace", "/home", "/home/agent", "/root"]
    /// Places at and below which nothing is bound.
    private static let closed = ["/etc", "/mnt/session/tool_outputs", "/run/postern", "/workspace"]

    /// Why nothing can be bound at `path`; `nil` when something can. What no policy can open is told by `MandatoryDenials`.
    static func refusal(ofPlace path: HostPath) -> String? {
        if own.contains(path.description) { return "the sandbox has its own \(path)" }
        return closed.compactMap { try? HostPath($0) }.first { path.isInside($0) }.map { "nothing of the host is shown in the sandbox's own \($0)" }
    }

    static func isPrivate(_ path: HostPath) -> Bool { place(of: path, in: Self.private) != nil }

    private static func place(of path: HostPath, in places: [String]) -> String? {
        places.first { place in (try? HostPath(place)).map(path.isInside) ?? false }
    }

    /// What a sandbox may do with a path that no policy mentions.
    static func access(of path: HostPath) -> FileDecision? {
        if let place = place(of: path, in: Self.private) {
            return FileDecision(access: .write, rule: nil, reason: "the sandbox has a \(place) of its own; the host's is not there")
        }
        return place(of: path, in: system).map { FileDecision(access: .read, rule: nil, reason: "every sandbox has \($0) of the host, read-only") }
    }
}
