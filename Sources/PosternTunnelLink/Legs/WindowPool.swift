import Synchronization

/// By how many bytes the windows of the streams of all legs that share it may grow, together, beyond those with which streams begin. Where nothing is
/// left, streams go on with the windows that they have.
package final class WindowPool: Sendable {
    private let left: Mutex<Int>

    /// - Parameter bytes: of all windows together.
    package init(_ bytes: Int) { left = Mutex(bytes) }

    /// Bytes that are nobody's.
    package var free: Int { left.withLock { $0 } }

    /// Takes bytes, where that leaves three times as many: pieces get smaller, and who comes late finds some.
    func take(_ bytes: Int) -> Bool {
        left.withLock { left in
            guard bytes <= left / 4 else { return false }
            left -= bytes
            return true
        }
    }

    func give(_ bytes: Int) { left.withLock { $0 += bytes } }
}
