import Glibc
import PosternJSON

/// A file that came over the control socket because its text is too long for a message.
enum MemoryFile {
    /// The largest that is read.
    static let largest = 64 << 20

    /// The JSON in the first `size` bytes of an open file; `nil` when they are not there or are no JSON. The position does not matter and stays.
    static func json(_ file: Int32, size: Int) -> JSON? {
        guard (1...largest).contains(size) else { return nil }
        var filled = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while filled < size {
                let read = pread(file, buffer.baseAddress.map { $0 + filled }, size - filled, off_t(filled))
                guard read > 0 else { break }
                filled += read
            }
            count = filled
        }
        return filled == size ? try? JSON(parsing: bytes) : nil
    }
}
