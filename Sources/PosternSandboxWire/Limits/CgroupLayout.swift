/// Where the control groups of this process are and which of them can bound what. A machine may have version 2, version 1, or some
/// controllers in each (hybrid), so the choice is made per controller. A value made from the text of two files of /proc.
package struct CgroupLayout: Sendable, Hashable {
    package enum Version: Int, Sendable, Hashable {
        case one = 1
        case two = 2
    }

    /// What Postern uses control groups for.
    package enum Controller: String, Sendable, CaseIterable {
        case memory, pids, cpu, io, freezer
    }

    /// One tree of groups.
    package struct Hierarchy: Sendable, Hashable {
        package var version: Version
        /// Folder of this process's own group.
        package var folder: String
        /// Names of the controllers as the kernel has them: `blkio`, not `io`, in version 1.
        package var controllers: Set<String>
        /// The own group is the top of what can be seen: the machine's root group or that of a namespace.
        package var isTop: Bool
    }

    package var hierarchies: [Hierarchy]

    /// - Parameters:
    ///   - mountInfo: `/proc/self/mountinfo` (proc(5)).
    ///   - groups: `/proc/self/cgroup` (cgroups(7)).
    ///   - controllers: gives `cgroup.controllers` of a folder of version 2.
    package init(mountInfo: String, groups: String, controllers: (String) -> String?) {
        var own: [(names: Set<String>, path: String)] = []
        for line in groups.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            own.append((Set(parts[1].split(separator: ",").map(String.init)), String(parts[2])))
        }
        hierarchies = []
        for line in mountInfo.split(separator: "\n") {
            guard let mount = Mount(line) else { continue }
            let group = own.first { mount.isUnified ? $0.names.isEmpty : !$0.names.isDisjoint(with: mount.options) }
            guard let group, let folder = mount.folder(of: group.path) else { continue }
            let names = mount.isUnified ? Set((controllers(folder) ?? "").split { $0 == " " || $0 == "\n" }.map(String.init)) : group.names
            let hierarchy = Hierarchy(version: mount.isUnified ? .two : .one, folder: folder, controllers: names, isTop: group.path == "/")
            // The first mount of a hierarchy is as good as any other.
            if !hierarchies.contains(where: { $0.version == hierarchy.version && $0.controllers == names }) { hierarchies.append(hierarchy) }
        }
    }

    package var unified: Hierarchy? { hierarchies.first { $0.version == .two } }

    /// The tree that has `controller`: version 2 where it is there, else version 1. Freezing is in every version 2 tree.
    package func hierarchy(of controller: Controller) -> Hierarchy? {
        if let unified, controller == .freezer || unified.controllers.contains(controller.rawValue) { return unified }
        let name = controller == .io ? "blkio" : controller.rawValue
        return hierarchies.first { $0.version == .one && $0.controllers.contains(name) }
    }

    /// "v2", "v1", "v1 with v2 (hybrid)" or "none".
    package var name: String {
        switch (hierarchies.contains { $0.version == .one }, unified != nil) {
        case (false, false): "none"
        case (false, true): "v2"
        case (true, false): "v1"
        case (true, true): "v1 with v2 (hybrid)"
        }
    }

    /// A line of mountinfo that is a mount of control groups.
    private struct Mount {
        var root: String
        var point: String
        var isUnified: Bool
        var options: Set<String>

        init?(_ line: Substring) {
            guard let separator = line.range(of: " - ") else { return nil }
            let before = line[..<separator.lowerBound].split(separator: " ")
            let after = line[separator.upperBound...].split(separator: " ")
            guard before.count >= 5, after.count >= 3, after[0] == "cgroup" || after[0] == "cgroup2" else { return nil }
            root = String(before[3])
            point = String(before[4])
            isUnified = after[0] == "cgroup2"
            options = Set(after[2].split(separator: ",").map(String.init))
        }

        /// The mount may show only a part of the tree, and then only groups below `root`.
        func folder(of group: String) -> String? {
            var rest = group[...]
            if root != "/" {
                guard rest == root || rest.hasPrefix(root + "/") else { return group == "/" ? point : nil }
                rest = rest.dropFirst(root.count)
            }
            while rest.hasSuffix("/") { rest = rest.dropLast() }
            return point + rest
        }
    }
}

extension Substring {
    /// The first place of `text`.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
