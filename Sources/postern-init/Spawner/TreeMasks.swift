import PosternSandboxWire

/// Patterns of what in a tree — the workspace, a folder that is bound — a session may not see (`hidden`) or not change (`protected`).
/// Hidden wins. What matches and is not there when the sandbox starts cannot be masked, and needs not to be: it can only be the session's own.
struct TreeMasks {
    let hidden: [PathGlob]
    let protected: [PathGlob]

    var isEmpty: Bool { hidden.isEmpty && protected.isEmpty }

    enum Kind: Hashable {
        case hiddenFolder, hiddenFile, protected
        /// An ancestor of one: bound on itself, so that it cannot be renamed away with what is below it.
        case pin

        var isHidden: Bool { self == .hiddenFolder || self == .hiddenFile }
    }

    /// Something that a mount goes over.
    struct Found {
        /// Below the tree.
        var path: String
        var kind: Kind
        var depth: Int

        /// What is above comes first.
        static func isBefore(_ left: Found, _ right: Found) -> Bool { (left.depth, left.path) < (right.depth, right.path) }
    }

    init(hidden: [String], protected: [String]) throws(SpawnerFailure) {
        self.hidden = try Self.globs(hidden)
        self.protected = try Self.globs(protected)
    }

    private static func globs(_ texts: [String]) throws(SpawnerFailure) -> [PathGlob] {
        var globs: [PathGlob] = []
        for text in texts {
            guard let glob = PathGlob(text) else {
                throw SpawnerFailure(text: "'\(text)' is no pattern of paths below a workspace or a bound folder")
            }
            globs.append(glob)
        }
        return globs
    }

    // MARK: Of a single file that is bound

    func hides(file name: [UInt8]) -> Bool { hidden.contains { $0.matches([name]) } }

    func protects(file name: [UInt8]) -> Bool { protected.contains { $0.matches([name]) } }
}
