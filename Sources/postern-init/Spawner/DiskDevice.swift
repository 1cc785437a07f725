import Glibc

/// The disk that a folder is on, for limits of I/O, which the kernel takes for whole disks only.
enum DiskDevice {
    /// "major:minor", or `nil` for file systems without a disk of their own (tmpfs, overlay, network).
    static func of(_ folder: Int32) -> String? {
        guard let info = Posix.status(folder) else { return nil }
        // As the kernel packs them into 64 bits: makedev(3).
        let device = UInt64(info.st_dev)
        let (major, minor) = ((device >> 8) & 0xFFF | (device >> 32) & ~0xFFF, device & 0xFF | (device >> 12) & ~0xFF)
        guard major != 0 else { return nil }
        let path = "/sys/dev/block/\(major):\(minor)"
        guard Posix.status(AT_FDCWD, Array("\(path)/partition".utf8), follow: true) != nil else { return "\(major):\(minor)" }
        guard let whole = CgroupFile.read("\(path)/..", "dev") else { return nil }
        return String(whole.prefix { $0 != "\n" })
    }
}
