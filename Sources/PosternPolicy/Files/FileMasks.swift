/// What is to be masked and made read-only in one tree when a sandbox starts: patterns relative to the tree, `*`, `?` and `**` as in
/// `PathGlob`. A pattern that means a folder means all that is in it; `hidden` wins.
package struct FileMasks: Sendable, Hashable {
    package var hidden: [String]
    package var protected: [String]
}

/// A tree of the host that is in the sandbox at the same path.
package struct FileBind: Sendable, Hashable {
    package var path: HostPath
    package var isWritable: Bool
    /// What is masked below it; in a tree that is bound read-only nothing needs protection.
    package var masks: FileMasks
}

extension FileRules {
    /// For the workspace.
    package func masks(ofWorkspace denials: MandatoryDenials) -> FileMasks {
        func patterns(_ globs: [PathGlob]) -> [String] { globs.filter { $0.scope != .host }.map(\.description) }
        return FileMasks(hidden: patterns(hidden) + denials.globs.map(\.description), protected: patterns(protected))
    }

    /// The trees of the host that are bound, with what is masked in each. This, and not `read` and `write`, is what a sandbox is made from:
    /// narrowing can leave a tree that is hidden or denied as a whole, and none such is here.
    package func binds(_ denials: MandatoryDenials) -> [FileBind] {
        let all = write.map { ($0, true) } + read.map { ($0, false) }
        return all.filter { path, _ in
            denials.refusal(of: path) == nil && SandboxRoot.refusal(ofPlace: path) == nil && !hidden.contains { $0.covers(.host(path)) }
        }.map { path, isWritable in
            // A tree that is protected as a whole is bound read-only.
            let isProtected = protected.contains { $0.covers(.host(path)) }
            return FileBind(path: path, isWritable: isWritable && !isProtected, masks: masks(of: path, isWritable, denials))
        }
    }

    private func masks(of root: HostPath, _ isWritable: Bool, _ denials: MandatoryDenials) -> FileMasks {
        let denied = denials.trees.filter { $0.isInside(root) }.map { tree in
            tree.components.dropFirst(root.components.count).joined(separator: "/")
        }
        return FileMasks(
            hidden: (hidden + denials.globs).flatMap { $0.patterns(below: root) } + denied,
            protected: isWritable ? protected.flatMap { $0.patterns(below: root) } : [])
    }
}
