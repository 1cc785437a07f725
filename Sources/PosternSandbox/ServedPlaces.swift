import PosternSandboxWire

/// What of the host a root spawner serves to a worker that is not root: named by the root that starts both, so that nothing the worker
/// says later adds to it.
package struct ServedPlaces: Sendable, Equatable {
    /// Whom the worker runs as.
    package var user: UInt32
    /// Files and folders that sandboxes may be shown.
    package var trees: [ServedTree]
    /// Files that the worker may read.
    package var files: [String]
    /// What no sandbox is shown, whatever the trees.
    package var denied: [String]
    /// Whether tools may run without a sandbox.
    package var allowsNoSandbox: Bool

    package init(user: UInt32, trees: [ServedTree] = [], files: [String] = [], denied: [String] = [], allowsNoSandbox: Bool = false) {
        self.user = user
        self.trees = trees
        self.files = files
        self.denied = denied
        self.allowsNoSandbox = allowsNoSandbox
    }

    /// For the spawner's command line.
    var arguments: [String] {
        var arguments = ["--worker", "\(user)"]
        for tree in trees { arguments += ["--tree", tree.text] }
        for file in files { arguments += ["--file", file] }
        for place in denied { arguments += ["--deny", place] }
        if allowsNoSandbox { arguments += ["--driver", "none"] }
        return arguments
    }
}
