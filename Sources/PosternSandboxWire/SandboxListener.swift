/// A port on the sandbox's own loopback whose socket is made inside and handed out: what is dialled there arrives outside.
package struct SandboxListener: Sendable, Hashable {
    package enum Transport: String, Sendable {
        case tcp, udp
    }
    package var transport: Transport
    package var port: UInt16
    /// On every address of the loopback network (127.0.0.0/8), not on 127.0.0.1 alone: for the addresses that the resolver gives names.
    package var isOnAllAddresses: Bool

    package init(_ transport: Transport, _ port: UInt16, isOnAllAddresses: Bool = false) {
        self.transport = transport
        self.port = port
        self.isOnAllAddresses = isOnAllAddresses
    }

    /// What programs that ignore proxy variables need: names, and the ports that go with them.
    package static let transparent = [
        SandboxListener(.udp, 53), SandboxListener(.tcp, 53), SandboxListener(.tcp, 80, isOnAllAddresses: true),
        SandboxListener(.tcp, 443, isOnAllAddresses: true),
    ]

    /// At most this many in one sandbox, beside the proxy's.
    package static let most = 64

    /// As in messages: `tcp:443:all`, `udp:53`.
    package var text: String { "\(transport.rawValue):\(port)" + (isOnAllAddresses ? ":all" : "") }

    /// The reverse of `text`.
    package init?(text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3 && parts[2] == "all", let transport = Transport(rawValue: String(parts[0])),
            let port = UInt16(parts[1]), port > 0
        else { return nil }
        self.init(transport, port, isOnAllAddresses: parts.count == 3)
    }
}
