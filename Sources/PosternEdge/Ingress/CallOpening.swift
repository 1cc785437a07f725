import FoundationEssentials
import PosternTunnelWire
import Synchronization
import X509

/// How a call was opened: on what it rests, and with what it ends.
struct CallOpening: Sendable {
    /// TLS for a host of the tunnel is passed through; nobody was asked who calls.
    var isSplice: Bool
    /// Whose end at the control plane ends the call, whichever comes first: an API key, a sessions token, a session.
    var principals: [String] = []
    /// The end of the certificate that opened it, and what that says of its holder.
    var until: Date?
    var identity: RuntimeIdentity?

    /// Whose share of the tunnel it takes.
    var caller: String
    /// Tells who said what of legs apart: where it is a certificate, that one, since whoever has another one may know other authorities.
    var certificate: String?

    var reporter: String { certificate.map { caller + "#" + $0 } ?? caller }

    static func splice(_ address: String) -> CallOpening { CallOpening(isSplice: true, caller: address) }

    /// By an API key or a sessions token.
    static func credential(_ principal: EdgePrincipal) -> CallOpening {
        CallOpening(isSplice: false, principals: [principal.id], caller: principal.id)
    }

    /// By a runtime certificate. Where it names the API key that asked for it, or a session, the call ends with these as well. What a client calls itself is no
    /// name to count by: who can have one certificate made can have many.
    static func certificate(_ identity: RuntimeIdentity, _ certificate: Certificate) -> CallOpening {
        CallOpening(
            isSplice: false, principals: [identity.person, identity.sessionID].compactMap { $0 }, until: certificate.notValidAfter,
            identity: identity,
            caller: identity.sessionID ?? identity.person ?? identity.client ?? identity.tunnelID, certificate: certificate.serialNumber.description)
    }

    /// For metrics.
    var way: String { isSplice ? "splice" : until == nil ? "connect" : "connect_certificate" }
}

/// A call's place among those of its tunnel, its workspace and its caller, until `leave`.
final class CallSlot: Sendable {
    let tunnel: EdgeTunnel
    let opening: CallOpening
    let shares: EdgeShares
    /// By which its caller may report it.
    let id: String
    private let isProved = Mutex(false)

    private init(_ tunnel: EdgeTunnel, _ opening: CallOpening, _ shares: EdgeShares) {
        self.tunnel = tunnel
        self.opening = opening
        self.shares = shares
        var generator = SystemRandomNumberGenerator()
        id = Hexadecimal.text((0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    static func take(of tunnel: EdgeTunnel, _ opening: CallOpening, _ shares: EdgeShares) throws(ShareRefusal) -> CallSlot {
        let refusal = shares.with {
            $0.began(
                tunnel: tunnel.id, workspace: tunnel.workspaceID, caller: opening.caller, isSplice: opening.isSplice, now: shares.now)
        }
        if let refusal { throw refusal }
        return CallSlot(tunnel, opening, shares)
    }

    /// The client of a spliced call has gone on after the server's part of inner TLS.
    func prove() {
        let isFirst = isProved.withLock { isProved in
            defer { isProved = true }
            return !isProved
        }
        if isFirst, opening.isSplice { shares.with { $0.proved(opening.caller) } }
    }

    func leave() {
        prove()
        shares.with {
            $0.ended(tunnel: tunnel.id, workspace: tunnel.workspaceID, caller: opening.caller, isSplice: opening.isSplice)
        }
    }
}
