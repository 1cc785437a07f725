import PosternTunnelWire

/// Who a caller is, for what is counted or kept for it: what its next certificate will say again. Lengths stand before values, so that no two
/// callers have one text.
struct CallerSubject: Hashable, Sendable {
    let bytes: [UInt8]

    init(_ identity: RuntimeIdentity) {
        var bytes: [UInt8] = []
        let facts = [
            identity.tunnelID, identity.workspaceID, identity.agentID, identity.sessionID, identity.person, identity.client, identity.issuer,
        ]
        for fact in facts {
            guard let fact else {
                bytes.append(0)
                continue
            }
            // At most 255 bytes each, as certificates and tokens have them.
            bytes += [1, UInt8(truncatingIfNeeded: fact.utf8.count)] + fact.utf8
        }
        self.bytes = bytes
    }
}
