#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A file that is read line by line, and read on when it has grown.
struct GrowingFile: Sendable {
    private let descriptor: OwnedDescriptor
    private var offset: off_t = 0
    private var splitter = LineSplitter()

    init(_ descriptor: OwnedDescriptor) { self.descriptor = descriptor }

    /// Hands over the whole lines that have come since the last call.
    mutating func readMore(_ line: ([UInt8]) throws -> Void) throws {
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = pread(descriptor.number, &chunk, chunk.count, offset)
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError("read", "the audit log")
            }
            if count == 0 { return }
            offset += off_t(count)
            var failure: (any Error)?
            splitter.feed(chunk[..<count]) { bytes in
                guard failure == nil else { return }
                do { try line(bytes) } catch { failure = error }
            }
            if let failure { throw failure }
        }
    }

    /// Whether the path still leads to this file.
    func isAt(_ path: String) -> Bool {
        var (mine, other) = (stat(), stat())
        return fstat(descriptor.number, &mine) == 0 && stat(path, &other) == 0 && mine.st_ino == other.st_ino && mine.st_dev == other.st_dev
    }
}
