#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A file of the worker's own that could not be used.
package struct FileError: Error, Sendable, Equatable, CustomStringConvertible {
    package var action: String
    package var path: String
    package var reason: String

    package init(action: String, path: String, reason: String) {
        self.action = action
        self.path = path
        self.reason = reason
    }

    /// With the reason that `errno` names now.
    package init(_ action: String, _ path: String) {
        self.init(action: action, path: path, reason: String(cString: strerror(errno)))
    }

    package var description: String { "cannot \(action) \(path): \(reason)" }
}
