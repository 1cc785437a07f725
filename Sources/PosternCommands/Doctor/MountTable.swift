/// The mounts of this process (proc(5), mountinfo): which file system a path is on, and what it keeps. A value made from text.
struct MountTable: Sendable, Equatable {
    struct Mount: Sendable, Equatable {
        var point: String
        /// `ext4`
        var kind: String
        /// Options of the file system itself.
        var options: Set<String>

        /// ext4 says `usrquota`, or `usrjquota=FILE` with a journal; XFS says `usrquota` too. XFS's `uqnoenforce` counts and does not bound.
        var keepsUserQuota: Bool {
            options.contains { option in
                ["usrquota", "uquota", "quota"].contains { $0 == option } || option.hasPrefix("usrjquota=") && option != "usrjquota="
            }
        }
    }

    var mounts: [Mount]

    /// - Parameter text: `/proc/self/mountinfo`; a line that is none is left out.
    init(_ text: String) {
        mounts = text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard let separator = fields.firstIndex(of: "-"), separator >= 6, fields.count > separator + 3 else { return nil }
            return Mount(
                point: Self.unescaped(fields[4]), kind: String(fields[separator + 1]),
                options: Set(fields[separator + 3].split(separator: ",").map(String.init)))
        }
    }

    static var current: MountTable {
        do throws(CommandError) { return MountTable(try TextFile.read("/proc/self/mountinfo")) } catch { return MountTable("") }
    }

    /// The mount that holds `path`, or the nearest folder above it that exists. Of mounts over one another the last is seen.
    func mount(of path: String) -> Mount? { mount(holding: TextFile.resolved(Self.existing(path))) }

    /// - Parameter path: absolute and without links.
    func mount(holding path: String) -> Mount? {
        var best: Mount?
        for mount in mounts where path == mount.point || mount.point == "/" || path.hasPrefix(mount.point + "/") {
            if mount.point.utf8.count >= best?.point.utf8.count ?? 0 { best = mount }
        }
        return best
    }

    /// `path` itself, or the nearest folder above it that exists.
    static func existing(_ path: String) -> String {
        var path = TextFile.absolute(path)
        while !TextFile.exists(path), let slash = path.lastIndex(of: "/") { path = slash == path.startIndex ? "/" : String(path[..<slash]) }
        return path
    }

    /// Spaces, tabs, line feeds and backslashes stand as three octal digits.
    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8) {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
