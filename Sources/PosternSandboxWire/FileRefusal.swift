#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Why a file tool was kept from a path, as it tells the worker beside its words, which go to the model: a path may hold any words.
package enum FileRefusal: String, Sendable {
    /// The kernel refused: a mount, Landlock, or the file's own rights.
    case kernel
    /// The path lies beyond the folders of the file tools.
    case toolRoots = "tool_roots"

    /// `nil` for failures that are no refusals.
    package init?(errno code: Int32) {
        guard [EACCES, EPERM, EROFS].contains(code) else { return nil }
        self = .kernel
    }
}
