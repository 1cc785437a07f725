import PosternJSON

/// What a sandbox may do with a path.
package enum FileAccess: Int, Sendable, Hashable, Comparable {
    /// The path does not exist for it, or is masked.
    case none
    case read
    case write

    package static func < (left: FileAccess, right: FileAccess) -> Bool { left.rawValue < right.rawValue }
}

package struct FileDecision: Sendable, Hashable {
    package var access: FileAccess
    /// Path of the deciding entry, such as `files.hidden[3]`; `nil` where none meant the path.
    package var rule: String?
    /// One sentence without a full stop.
    package var reason: String
}

/// A path that somebody in a sandbox asks for.
package enum FileTarget: Sendable, Hashable {
    /// Below the workspace; no components for the workspace itself.
    case workspace([String])
    case host(HostPath)
}

/// How the workspace may be used, the strictest first.
package enum WorkspaceMode: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Read-only.
    case ro
    /// Changes go to a layer of the session's own, to be applied or discarded by the operator.
    case cow
    case rw

    package static func < (left: WorkspaceMode, right: WorkspaceMode) -> Bool { left.strictness < right.strictness }

    private var strictness: Int {
        switch self {
        case .ro: 0
        case .cow: 1
        case .rw: 2
        }
    }
}

/// Which files of the host are in a sandbox, at the same path, besides the system's own small root and the workspace.
///
/// - A path of the host is there if it stands in a tree of `read` or `write`; it can be written if it stands in one of `write`.
/// - `hidden` wins over both and masks what exists when the sandbox starts.
/// - `protected` wins over `write`: what exists when the sandbox starts can be read only.
/// - `MandatoryDenials` wins over everything.
package struct FileRules: Sendable, Hashable {
    /// Trees bound read-only; none stands inside another or inside one of `write`. Sorted.
    package let read: [HostPath]
    /// Trees bound writable; none stands inside another. Sorted.
    package let write: [HostPath]
    package let hidden: [PathGlob]
    package let protected: [PathGlob]

    package init(read: [HostPath] = [], write: [HostPath] = [], hidden: [PathGlob] = [], protected: [PathGlob] = []) {
        let write = HostPath.minimal(write)
        self.write = write
        self.read = HostPath.minimal(read).filter { path in !write.contains { path.isInside($0) } }
        self.hidden = hidden
        self.protected = protected
    }

    /// What a sandbox may do with `target`.
    package func decide(_ target: FileTarget, workspace mode: WorkspaceMode, denials: MandatoryDenials) -> FileDecision {
        if let refusal = denials.refusal(of: target) { return FileDecision(access: .none, rule: nil, reason: refusal) }
        guard let granted = granted(target, mode) else {
            if case .host(let path) = target, let decision = SandboxRoot.access(of: path) { return decision }
            return FileDecision(access: .none, rule: nil, reason: "no entry of files.read or files.write holds it, so it is not in the sandbox")
        }
        if let index = hidden.firstIndex(where: { $0.covers(target) }) {
            return FileDecision(access: .none, rule: "files.hidden[\(index)]", reason: "the pattern \(hidden[index]) masks it")
        }
        if granted.access == .write, let index = protected.firstIndex(where: { $0.covers(target) }) {
            return FileDecision(
                access: .read, rule: "files.protected[\(index)]", reason: "the pattern \(protected[index]) makes it read-only where it exists")
        }
        return granted
    }

    /// Whether a sandbox can read this file of the host. Its own `/tmp` and home are no files of the host.
    func shows(_ file: HostPath, _ denials: MandatoryDenials) -> Bool {
        let decision = decide(.host(file), workspace: .ro, denials: denials)
        return decision.access != .none && !(granted(.host(file), .ro) == nil && SandboxRoot.isPrivate(file))
    }

    /// What the workspace's mode or a bound tree gives; `nil` for a path outside of both.
    private func granted(_ target: FileTarget, _ mode: WorkspaceMode) -> FileDecision? {
        switch target {
        case .workspace:
            let access: FileAccess = mode == .ro ? .read : .write
            return FileDecision(access: access, rule: "workspace", reason: "it stands in the workspace, whose mode is \(mode.rawValue)")
        case .host(let path):
            if let index = write.firstIndex(where: { path.isInside($0) }) {
                return FileDecision(access: .write, rule: "files.write[\(index)]", reason: "it stands in \(write[index]), which is bound writable")
            }
            guard let index = read.firstIndex(where: { path.isInside($0) }) else { return nil }
            return FileDecision(access: .read, rule: "files.read[\(index)]", reason: "it stands in \(read[index]), which is bound read-only")
        }
    }

    /// What both allow.
    package func narrowed(by other: FileRules) -> FileRules {
        FileRules(
            read: HostPath.intersection(read + write, other.read + other.write), write: HostPath.intersection(write, other.write),
            hidden: hidden + other.hidden.filter { !hidden.contains($0) }, protected: protected + other.protected.filter { !protected.contains($0) })
    }
}

extension PathGlob {
    package func covers(_ target: FileTarget) -> Bool {
        switch (target, scope) {
        case (.workspace(let components), .workspace), (.workspace(let components), .everywhere): covers(components)
        case (.host(let path), .host), (.host(let path), .everywhere): covers(path.components)
        default: false
        }
    }
}

extension FileRules {
    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        let path = { (json: JSON) throws(PolicyValueError) in try HostPath(try FieldReader.text(json)) }
        let glob = { (json: JSON) throws(PolicyValueError) in try PathGlob(try FieldReader.text(json)) }
        self.init(
            read: try fields.list("read", path), write: try fields.list("write", path), hidden: try fields.list("hidden", glob),
            protected: try fields.list("protected", glob))
        try fields.finish()
    }

    package var json: JSON {
        [
            "read": .array(read.map { .string($0.description) }), "write": .array(write.map { .string($0.description) }),
            "hidden": .array(hidden.map { .string($0.description) }), "protected": .array(protected.map { .string($0.description) }),
        ]
    }
}
