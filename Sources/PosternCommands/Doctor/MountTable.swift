import PosternSandboxWire

/// The mounts of this process: which file system a path is on, and what it keeps.
extension MountTable {
    static var current: MountTable {
        do throws(CommandError) { return MountTable(try TextFile.read("/proc/self/mountinfo")) } catch { return MountTable("") }
    }

    /// The mount that holds `path`, or the nearest folder above it that exists.
    func mount(of path: String) -> Mount? { mount(holding: TextFile.resolved(Self.existing(path))) }

    /// `path` itself, or the nearest folder above it that exists.
    static func existing(_ path: String) -> String {
        var path = TextFile.absolute(path)
        while !TextFile.exists(path), let slash = path.lastIndex(of: "/") { path = slash == path.startIndex ? "/" : String(path[..<slash]) }
        return path
    }
}

extension MountTable.Mount {
    /// ext4 says `usrquota`, or `usrjquota=FILE` with a journal; XFS says `usrquota` too. XFS's `uqnoenforce` counts and does not bound.
    var keepsUserQuota: Bool {
        options.contains { option in
            ["usrquota", "uquota", "quota"].contains { $0 == option } || option.hasPrefix("usrjquota=") && option != "usrjquota="
        }
    }
}
