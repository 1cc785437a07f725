import PosternAudit

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A folder of a test's own on the real disk, removed at the end with the files in it.
final class RealFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/postern-audit-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw FileError("make", "/tmp/postern-audit") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in (try? SystemDisk().names(in: path)) ?? [] where !name.hasPrefix(".") { unlink("\(path)/\(name)") }
        rmdir(path)
    }
}
