#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// An errno value in the words of the tool contract (section 8.1).
package enum SystemError {
    package static func reason(_ code: Int32) -> String {
        switch code {
        case ENOENT: "no such file or directory"
        case ENOTDIR: "not a directory"
        case EISDIR: "is a directory"
        case EACCES, EPERM: "permission denied"
        case EEXIST: "file already exists"
        case ELOOP: "too many levels of symbolic links"
        case EIO: "i/o error"
        default: String(cString: strerror(code)).lowercased()
        }
    }
}

/// Time that neither jumps nor depends on the wall clock, in microseconds.
package func monotonicMicroseconds() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int(now.tv_sec) * 1_000_000 + Int(now.tv_nsec) / 1000
}
