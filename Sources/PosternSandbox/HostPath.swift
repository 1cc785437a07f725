import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Walks a path of the host by descriptor. A link on the way is followed only where nobody but root could have put it, as with `/home` on
/// another disk: any other might be a session's, in a folder that it may write, and lead where its own policy does not.
struct HostPath {
    private let path: String
    private let what: String
    private var folder: Int32
    /// The names that are still to be walked, the next one last.
    private var rest: [String]
    /// The names that have been walked, for errors.
    private var walked: [String] = []
    private var links = 0

    private static let mostLinks = 40

    /// Opens the last part of `path` with `flags`; itself it may not be a link. The caller closes it.
    static func open(_ path: String, _ what: String, _ flags: Int32) throws(SandboxError) -> Int32 {
        let top = Glibc.open("/", psb_open_path | O_DIRECTORY | O_CLOEXEC)
        guard top >= 0 else { throw SandboxError(.refused, "'/' cannot be opened: \(SystemError.reason(errno))") }
        var walk = HostPath(path: path, what: what, folder: top, rest: path.split(separator: "/").reversed().map(String.init))
        defer { close(walk.folder) }
        while walk.rest.count > 1 { try walk.step() }
        let descriptor = openat(walk.folder, walk.rest.first ?? ".", flags | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw walk.failure(SystemError.reason(errno)) }
        return descriptor
    }

    private init(path: String, what: String, folder: Int32, rest: [String]) {
        (self.path, self.what, self.folder, self.rest) = (path, what, folder, rest)
    }

    private mutating func step() throws(SandboxError) {
        guard let name = rest.popLast() else { return }
        let next = openat(folder, name, psb_open_path | O_NOFOLLOW | O_CLOEXEC)
        guard next >= 0 else { throw failure(SystemError.reason(errno)) }
        var info = stat()
        guard fstat(next, &info) == 0, info.st_mode & S_IFMT == S_IFLNK else {
            close(folder)
            folder = next
            walked.append(name)
            return
        }
        defer { close(next) }
        try follow(next, name)
    }

    private mutating func follow(_ link: Int32, _ name: String) throws(SandboxError) {
        let place = "/" + (walked + [name]).joined(separator: "/")
        var info = stat()
        guard fstat(folder, &info) == 0, info.st_uid == 0, info.st_mode & 0o022 == 0 else {
            throw failure("'\(place)' is a link that others than root can change: give the path without links, as realpath prints it")
        }
        links += 1
        guard links <= Self.mostLinks else { throw failure(SystemError.reason(ELOOP)) }
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let length = buffer.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { readlinkat(link, "", $0.assumingMemoryBound(to: CChar.self), bytes.count) } ?? -1
        }
        guard length > 0 else { throw failure(SystemError.reason(errno)) }
        let target = String(decoding: buffer[..<length], as: UTF8.self)
        rest += target.split(separator: "/").reversed().map(String.init)
        guard target.hasPrefix("/") else { return }
        let top = Glibc.open("/", psb_open_path | O_DIRECTORY | O_CLOEXEC)
        guard top >= 0 else { throw failure(SystemError.reason(errno)) }
        close(folder)
        (folder, walked) = (top, [])
    }

    private func failure(_ reason: String) -> SandboxError { SandboxError(.refused, "the \(what) '\(path)' cannot be opened: \(reason)") }
}
