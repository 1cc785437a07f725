#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The user of this machine who gives an order, by the kernel's word for the socket's other end.
package struct LocalControlPeer: Sendable, Hashable, CustomStringConvertible {
    package var user: UInt32
    /// As this machine's user database has it; a container's may know none.
    package var name: String?

    package init(user: UInt32, name: String? = nil) {
        self.user = user
        self.name = name
    }

    /// `alice (uid 1000)`, or `uid 1000`.
    package var description: String { name.map { "\($0) (uid \(user))" } ?? "uid \(user)" }

    /// With the name of `user` looked up. Blocks.
    static func named(_ user: UInt32) -> LocalControlPeer {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        let code = getpwuid_r(user, &entry, &buffer, buffer.count, &found)
        // The name is in `buffer`.
        let name = withExtendedLifetime(buffer) { code == 0 && found != nil ? String(cString: entry.pw_name) : nil }
        return LocalControlPeer(user: user, name: name)
    }
}
