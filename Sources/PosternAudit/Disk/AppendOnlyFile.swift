#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A file that only grows, line by line, and knows when a line is on the disk. Lines of many writers are written together and share
/// one `fdatasync` (`GroupCommit`). After a failed write or flush every later `append` throws.
package final class AppendOnlyFile: Sendable {
    private let descriptor: OwnedDescriptor
    private let commits: GroupCommit<[UInt8]>

    /// Opens or creates the file with mode 0600. A link, anything but a regular file, or another user's file is refused.
    package init(path: String) throws(FileError) {
        let descriptor = OwnedDescriptor(try Self.openForAppending(path))
        self.descriptor = descriptor
        commits = GroupCommit(path: path) { (lines: [[UInt8]], durable: Bool) throws(FileError) in
            try SmallFile.writeAll(lines.flatMap { $0 + [0x0A] }, to: descriptor.number, path)
            if durable, fdatasync(descriptor.number) != 0 { throw FileError("flush", path) }
        }
    }

    /// Appends one line (a newline is added) and returns when the kernel has it, or with `durable` when the disk has it.
    /// A process that is killed loses nothing that was appended; a machine that loses power loses nothing that was durable.
    package func append(_ line: [UInt8], durable: Bool) async throws(FileError) { try await commits.append([line], durable: durable) }

    /// Writes what is pending and flushes it to the disk; later appends are refused.
    package func finish() async {
        let descriptor = descriptor
        await commits.finish { () throws(FileError) in _ = fdatasync(descriptor.number) }
    }

    static func openForAppending(_ path: String) throws(FileError) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileError("open", path) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = FileError("stat", path)
            close(descriptor)
            throw error
        }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(), fchmod(descriptor, 0o600) == 0 else {
            close(descriptor)
            throw FileError(action: "open", path: path, reason: "not a regular file of this user")
        }
        return descriptor
    }
}

/// Closes its descriptor when the last one who may use it lets go.
final class OwnedDescriptor: Sendable {
    let number: Int32
    init(_ number: Int32) { self.number = number }
    deinit { close(number) }
}
