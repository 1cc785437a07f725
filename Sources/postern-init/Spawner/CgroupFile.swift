import Glibc

/// The files of control groups: small, read and written whole.
enum CgroupFile {
    /// 0 or the errno.
    static func write(_ folder: String, _ file: String, _ value: String) -> Int32 {
        let descriptor = open("\(folder)/\(file)", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        let bytes = Array(value.utf8)
        return Glibc.write(descriptor, bytes, bytes.count) == bytes.count ? 0 : errno
    }

    /// At most 64 KiB; `nil` when it cannot be read.
    static func read(_ folder: String, _ file: String) -> String? {
        let descriptor = open("\(folder)/\(file)", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        guard let count = bytes.withUnsafeMutableBytes({ Posix.read(descriptor, into: $0) }) else { return nil }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// The processes of a group.
    static func processes(_ folder: String) -> [pid_t] {
        (read(folder, "cgroup.procs") ?? "").split(separator: "\n").compactMap { pid_t($0) }
    }
}
