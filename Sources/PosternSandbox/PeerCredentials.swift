import CPosternSandbox
import Glibc

/// Who is at the other end of a unix socket, by the kernel's word.
package enum PeerCredentials {
    /// The user that has connected, or on a client's side the one that listens; `nil` for sockets that have no other end.
    package static func user(of socket: Int32) -> UInt32? {
        var user: uid_t = 0
        return psb_peer_user(socket, &user) == 0 ? user : nil
    }
}
