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
    /// The value of `errno` that stood behind it; 0 where none did.
    package var code: Int32 = 0
    /// The one session that must stop; `nil` where nothing more can be recorded and all work must.
    package var session: String?

    package init(action: String, path: String, reason: String) {
        self.action = action
        self.path = path
        self.reason = reason
    }

    /// With the reason that `errno` names now.
    package init(_ action: String, _ path: String) {
        let code = errno
        self.init(action: action, path: path, reason: String(cString: strerror(code)))
        self.code = code
    }

    package var description: String { "cannot \(action) \(path): \(reason)" }
}
