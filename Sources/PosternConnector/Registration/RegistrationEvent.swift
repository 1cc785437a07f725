import PosternTunnelWire

/// What a connector sees of its tunnel's log, for its own log.
package enum RegistrationEvent: Sendable {
    /// The first head: so many registrations, and the authorities that count.
    case began(size: Int, authorities: [String])
    case registered(RegistrationNews, isForeignKey: Bool)
    /// An edge gave no answer, or one that does not count.
    case unanswered(edge: String, reason: String)
    /// An edge repeats a head that is older than the one that is known.
    case repeated(edge: String)
    /// From here on calls are refused.
    case refusing(RegistrationRefusal)
    /// From here on they are taken again.
    case resumed
    /// What was seen could not be kept: it would be forgotten at the next start.
    case notKept(reason: String)
}
