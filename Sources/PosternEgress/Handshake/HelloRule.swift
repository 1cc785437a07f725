import PosternPolicy
import PosternTLS

/// Whether a ClientHello fits the destination that the tunnel was asked for.
enum HelloRule {
    /// Why not; `nil` when it fits. The server name has to be the destination's; a destination that is an address has none.
    ///
    /// Clients send the outer part of Encrypted Client Hello also where they have no key for it ("GREASE", RFC 9849): for inspected hosts
    /// that is harmless, since the proxy ends the handshake under the outer name; for opaque hosts it hides the real name.
    static func refusal(of hello: ClientHello, for host: CanonicalHost, opaque: Bool) -> String? {
        if hello.isEncrypted, opaque { return "the ClientHello hides its server name (ECH)" }
        switch (host, hello.serverName) {
        case (.address, nil): return nil
        case (.name, nil): return "the ClientHello names no server; \(host) is expected"
        case (.name(let wanted), let name?) where name == wanted: return nil
        case (_, let name?): return "the ClientHello names \(name); the tunnel is to \(host)"
        }
    }
}
