/// The mounts of a process (proc(5), mountinfo). A value made from text.
package struct MountTable: Sendable, Equatable {
    package struct Mount: Sendable, Equatable {
        package var id: Int
        package var parent: Int
        /// Number of the file system, `8:1`.
        package var device: String
        /// What of the file system is shown.
        package var root: String
        package var point: String
        /// `ext4`
        package var kind: String
        /// Options of the file system itself.
        package var options: Set<String>
    }

    package var mounts: [Mount]

    /// - Parameter text: `/proc/self/mountinfo`; a line that is none is left out.
    package init(_ text: String) {
        mounts = text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard let separator = fields.firstIndex(of: "-"), separator >= 6, fields.count > separator + 3, let id = Int(fields[0]),
                let parent = Int(fields[1])
            else { return nil }
            return Mount(
                id: id, parent: parent, device: String(fields[2]), root: Self.unescaped(fields[3]), point: Self.unescaped(fields[4]),
                kind: String(fields[separator + 1]), options: Set(fields[separator + 3].split(separator: ",").map(String.init)))
        }
    }

    /// The mount that holds `path`, which is absolute and without links. Of mounts over one another the last is seen.
    package func mount(holding path: String) -> Mount? {
        var best: Mount?
        for mount in mounts where path == mount.point || mount.point == "/" || path.hasPrefix(mount.point + "/") {
            if mount.point.utf8.count >= best?.point.utf8.count ?? 0 { best = mount }
        }
        return best
    }

    /// Spaces, tabs, line feeds and backslashes stand as three octal digits.
    private static func unescaped(_ text: Substring) -> String {
        guard text.utf8.contains(UInt8(ascii: "\\")) else { return String(text) }
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
