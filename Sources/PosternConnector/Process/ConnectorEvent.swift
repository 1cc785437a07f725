import PosternTunnelWire

/// What happens in a connector, for its log and its metrics. Holds no header, no path and no body.
package enum ConnectorEvent: Sendable {
    case legStands(index: Int, edge: String)
    case legEnded(index: Int)
    /// `seconds` until the next try.
    case legRefused(index: Int, LegRefusal, seconds: Double)
    case legFailed(index: Int, edge: String, reason: String, seconds: Double)
    /// A call was let in.
    case called(route: String, RuntimeIdentity)
    case refused(route: String?, CallError)
    /// A policy that only records would have refused the call.
    case wouldRefuse(route: String, PolicyRefusal)
    /// The definition of a pinned tool is another one now: the tool is left out of lists and not called.
    case toolChanged(route: String, tool: String)
    /// Of the log of the tunnel's registrations.
    case registration(RegistrationEvent)
}
