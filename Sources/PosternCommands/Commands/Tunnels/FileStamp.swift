/// One state of a file, as `TextFile.stamp` finds it.
struct FileStamp: Hashable, Sendable {
    /// Device and inode.
    var place: [UInt64]
    var size: Int64
    var mode: UInt32
    /// When its content and its attributes changed last, in seconds and nanoseconds each.
    var changed: [Int]
}
