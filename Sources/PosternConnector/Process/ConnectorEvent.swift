import PosternTunnelWire

/// What happens in a connector, for its log and its metrics. Holds no header, no path and no body.
package enum ConnectorEvent: Sendable {
    case legStands(index: Int, edge: String)
    case legEnded(index: Int)
    /// `seconds` until the next try.
    case legRefused(index: Int, LegRefusal, seconds: Double)
    case legFailed(index: Int, edge: String, reason: String, seconds: Double)
    /// A changed document is in force: which reading it is, how many connections it cut, and whether legs are dialled anew.
    case reloaded(number: Int, cut: Int, redials: Bool)
    /// An edge says that there is news of the tunnel's registrations.
    case news
    /// What the log of registrations says now has cut so many connections.
    case cut(Int)
    /// No connection stands any more on a server certificate that was replaced: its authority can be archived without an end to any call.
    case certificateUnused
    /// A call was let in; `ended` follows.
    case called(route: String, RuntimeIdentity)
    case refused(route: String?, CallError)
    /// A call that was let in has ended.
    case ended(route: String, CallEnd)
    /// A call broke off after it was let in.
    case failed(route: String, CallError)
    /// A caller went away while its call ran, which goes on for a while, since MCP's older revisions take that for no cancelling.
    case outlived(route: String)
    /// A caller proved itself anew for a call that runs.
    case renewed(route: String)
    /// A policy that only records would have refused the call.
    case wouldRefuse(route: String, PolicyRefusal)
    /// The definition of a pinned tool is another one now: the tool is left out of lists and not called.
    case toolChanged(route: String, tool: String)
    /// Of the stdio server of a route; `number` tells it from others of this connector.
    case child(route: String, number: Int, ChildEvent)
    /// The keys of the issuer of a route's tokens were asked for; `problem` where they did not come.
    case tokenKeys(route: String, problem: String?)
    /// Of the log of the tunnel's registrations.
    case registration(RegistrationEvent)
}
