/// What the audit log needs of a file system. The real one is `SystemDisk`; a test's can fail, or stop, at every call. All calls block.
package protocol AuditDisk: Sendable {
    /// The names in a folder, in any order.
    func names(in folder: String) throws(FileError) -> [String]

    /// Hands the file's bytes over, piece by piece; whether there is such a file.
    func read(_ path: String, _ piece: (ArraySlice<UInt8>) -> Void) throws(FileError) -> Bool

    /// Opens a file of this user's for appending; makes it (0600) if it is missing. A link is refused.
    func open(_ path: String) throws(FileError) -> any AuditFile

    /// Puts a file in place in one step, durably. With `erasing`, the bytes of the one that stood there are overwritten afterwards.
    func replace(_ path: String, with bytes: [UInt8], erasing: Bool) throws(FileError)

    /// Gives a file another name, durably. A file that has that name already is never replaced.
    func rename(_ path: String, to other: String) throws(FileError)

    /// Makes a file of that size whose blocks are taken from the disk.
    func reserve(_ path: String, bytes: Int) throws(FileError)

    /// Removes a file; it is no error if there is none.
    func remove(_ path: String) throws(FileError)

    /// Holds a lock for as long as the value that comes back lives; throws if another holds it.
    func lock(_ path: String) throws(FileError) -> any Sendable
}

/// A file that is open for appending. All calls block.
package protocol AuditFile: Sendable {
    /// Bytes in the file.
    var size: Int { get throws(FileError) }

    /// Appends; `written` says how many bytes the file took, also when this throws.
    func append(_ bytes: ArraySlice<UInt8>, written: inout Int) throws(FileError)

    /// Returns once everything is on the disk.
    func flush() throws(FileError)
}
