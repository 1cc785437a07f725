import Glibc
import PosternSandboxWire

/// What changes will take on the disk of a workspace before anything old is given back: what is new is made beside what is there.
struct DiskNeed {
    private(set) var bytes = 0
    private(set) var entries = 0
    private let block: Int

    /// - Parameter folder: an open folder of the file system; `nil` with errno set where it says nothing of itself.
    init?(on folder: Int32) {
        var status = statvfs()
        guard fstatvfs(folder, &status) == 0 else { return nil }
        block = max(Int(status.f_frsize), 512)
    }

    /// A folder or a link, which may take a block.
    mutating func addEntry() {
        bytes += block
        entries += 1
    }

    /// The content of an open file; `false` with errno set.
    mutating func addFile(_ file: Int32) -> Bool {
        guard let written = SparseFile.writtenBytes(file, block: block) else { return false }
        bytes += written
        entries += 1
        return true
    }

    /// Why it may not or cannot be written; `nil` where nothing stands against it. A quota of the workspace's owner is not seen from here.
    func refusal(most: Int?, of folder: Int32) -> ChangesReport.Refusal? {
        if let most, bytes > most { return .init(.bound, "the changes take \(ByteText.of(bytes)) of disk, and the bound is \(ByteText.of(most))") }
        var status = statvfs()
        guard fstatvfs(folder, &status) == 0 else { return .init(.room, "the room on the disk cannot be told: \(SystemError.reason(errno))") }
        let (room, isBeyond) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        let free = isBeyond ? .max : Int(clamping: room)
        if bytes > free {
            return .init(
                .room, "the changes take \(ByteText.of(bytes)) of disk, and \(ByteText.of(free)) is free on the file system of the workspace")
        }
        // File systems that make inodes as they need them count none.
        if status.f_files > 0, UInt64(entries) > UInt64(status.f_favail) {
            return .init(.room, "the changes take \(entries) files, and \(status.f_favail) can be made on the file system of the workspace")
        }
        return nil
    }
}
