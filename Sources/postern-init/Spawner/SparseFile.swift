import CPosternSandbox
import Glibc

/// Files with holes: what is written of them is read and copied, the holes between stay holes.
enum SparseFile {
    /// Bytes that are written, rounded up to whole blocks of `block` bytes part by part; `nil` with errno set.
    static func writtenBytes(_ file: Int32, block: Int) -> Int? {
        var sum = 0
        let isRead = forEachPart(file) { start, end in
            let (first, last) = (start / block, (end - 1) / block)
            sum += (last - first + 1) * block
            return true
        }
        return isRead ? sum : nil
    }

    /// Copies content and length into the empty file `target`; `false` with errno set.
    static func copy(_ source: Int32, _ target: Int32) -> Bool {
        guard let info = Posix.status(source) else { return false }
        return withUnsafeTemporaryAllocation(byteCount: 1 << 18, alignment: 16) { buffer in
            let isCopied = forEachPart(source) { start, end in
                guard lseek(source, off_t(start), SEEK_SET) >= 0, lseek(target, off_t(start), SEEK_SET) >= 0 else { return false }
                var left = end - start
                while left > 0 {
                    guard let count = Posix.read(source, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(left, buffer.count)])) else {
                        return false
                    }
                    // Cut off meanwhile: there is no more.
                    if count == 0 { break }
                    guard Posix.write(target, UnsafeRawBufferPointer(rebasing: buffer[..<count])) else { return false }
                    left -= count
                }
                return true
            }
            return isCopied && ftruncate(target, info.st_size) == 0
        }
    }

    /// Where something is written, in order. A file system that knows no holes calls all of it written. `false` with errno set, also where
    /// `body` says so.
    private static func forEachPart(_ file: Int32, _ body: (_ start: Int, _ end: Int) -> Bool) -> Bool {
        guard let size = Posix.status(file).map({ Int($0.st_size) }) else { return false }
        var offset = 0
        while offset < size {
            let start = lseek(file, off_t(offset), psb_seek_data)
            if start < 0, errno == ENXIO { return true }
            guard start >= 0 else { return false }
            let end = lseek(file, start, psb_seek_hole)
            guard end > start else { return false }
            guard body(Int(start), min(Int(end), size)) else { return false }
            offset = Int(end)
        }
        return true
    }
}
