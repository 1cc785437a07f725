import Glibc
import PosternSandboxWire

extension MountTable {
    /// A thousand masks and the paths to them are less.
    private static let longest = 16 << 20

    /// The mounts that this process has.
    static func own() throws(SystemFailure) -> MountTable {
        let file = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemFailure("open /proc/self/mountinfo") }
        defer { close(file) }
        guard let bytes = Posix.contents(file, most: longest) else { throw SystemFailure("read /proc/self/mountinfo") }
        return MountTable(String(decoding: bytes, as: UTF8.self))
    }
}
