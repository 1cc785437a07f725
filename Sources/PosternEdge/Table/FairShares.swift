import PosternTunnelWire

/// Who holds how much of an edge, and who may have more: nobody can use it up alone. Who has shown nothing counts by address; who has, by what it has
/// shown, by tunnel and by workspace. A value; times are seconds on one clock.
struct FairShares: Sendable {
    private let limits: EdgeShareLimits
    private var connections = 0
    private var addresses: [String: Place] = [:]
    private var tunnels: [String: TunnelShare] = [:]
    private var callers: [CallerName: Int] = [:]
    /// Spliced calls of an address whose clients have not gone on after the server's part of inner TLS.
    private var unproved: [String: Int] = [:]
    private var workspaces: [String: Int] = [:]

    private struct Place {
        var connections = 0
        var handshakes = 0
    }

    private struct TunnelShare {
        var calls = 0
        var splices = 0
        var rate: TokenBucket
        /// Of splices, half of `rate`, of which they take as well.
        var spliceRate: TokenBucket
        var bytes: TokenBucket?
    }

    private struct CallerName: Hashable {
        var tunnel: String
        var name: String
    }

    init(_ limits: EdgeShareLimits) { self.limits = limits }

    // MARK: Connections

    /// A connection that has shown nothing yet: it holds a place until `left`, and one among those of its address that have to hurry until `shown`.
    mutating func entered(_ address: String) -> ShareRefusal? {
        guard connections < limits.connections else { return .edge }
        let place = addresses[address] ?? Place()
        guard place.connections < limits.connectionsPerAddress else { return .address }
        guard place.handshakes < limits.handshakesPerAddress else { return .handshakes }
        connections += 1
        addresses[address] = Place(connections: place.connections + 1, handshakes: place.handshakes + 1)
        return nil
    }

    /// What the connection wants is known.
    mutating func shown(_ address: String) { addresses[address]?.handshakes -= 1 }

    /// Who is at its other end is known: it counts for its address no more.
    mutating func named(_ address: String) {
        addresses[address]?.connections -= 1
        forget(address)
    }

    mutating func left(_ address: String, wasShown: Bool, wasNamed: Bool) {
        connections -= 1
        if !wasShown { shown(address) }
        if !wasNamed { named(address) } else { forget(address) }
    }

    private mutating func forget(_ address: String) {
        if let place = addresses[address], place.connections <= 0, place.handshakes <= 0 { addresses[address] = nil }
    }

    // MARK: Calls

    /// A call of `caller` through a tunnel takes its place, until `ended`. One that is spliced, whose caller is an address, counts among those of the
    /// address that have proved nothing until `proved`. Half of a tunnel's calls and rate is kept for calls that are not spliced.
    mutating func began(tunnel: String, workspace: String, caller: String, isSplice: Bool = false, now: Double) -> ShareRefusal? {
        let name = CallerName(tunnel: tunnel, name: caller)
        guard callers[name, default: 0] < limits.callsPerCaller else { return .caller }
        guard !isSplice || unproved[caller, default: 0] < limits.unprovedPerAddress else { return .unproved }
        guard workspaces[workspace, default: 0] < limits.callsPerWorkspace else { return .workspace }
        var share = tunnels[tunnel] ?? newShare(now)
        guard share.calls < limits.callsPerTunnel, !isSplice || share.splices < max(1, limits.callsPerTunnel / 2) else { return .tunnel }
        let isInTime = (!isSplice || share.spliceRate.take(now: now)) && share.rate.take(now: now)
        if isInTime {
            share.calls += 1
            if isSplice { share.splices += 1 }
        }
        tunnels[tunnel] = share
        guard isInTime else { return .rate }
        callers[name, default: 0] += 1
        workspaces[workspace, default: 0] += 1
        if isSplice { unproved[caller, default: 0] += 1 }
        return nil
    }

    /// The client of a spliced call has believed the server, or the call ends: once for each.
    mutating func proved(_ address: String) { Self.less(&unproved, address) }

    private func newShare(_ now: Double) -> TunnelShare {
        TunnelShare(
            rate: TokenBucket(rate: Double(limits.callsPerSecond), burst: 2 * Double(limits.callsPerSecond), now: now),
            spliceRate: TokenBucket(rate: Double(limits.callsPerSecond) / 2, burst: Double(limits.callsPerSecond), now: now),
            bytes: limits.bytesPerSecond.map { TokenBucket(rate: Double($0), burst: Double($0), now: now) })
    }

    mutating func ended(tunnel: String, workspace: String, caller: String, isSplice: Bool = false) {
        Self.less(&callers, CallerName(tunnel: tunnel, name: caller))
        Self.less(&workspaces, workspace)
        tunnels[tunnel]?.calls -= 1
        if isSplice { tunnels[tunnel]?.splices -= 1 }
    }

    /// Bytes of a tunnel's calls were passed on: for how many seconds the call that passed them has to wait.
    mutating func passed(_ bytes: Int, tunnel: String, now: Double) -> Double { tunnels[tunnel]?.bytes?.spend(Double(bytes), now: now) ?? 0 }

    /// Forgets tunnels that are gone.
    mutating func keep(_ isThere: (String) -> Bool) { tunnels = tunnels.filter { $0.value.calls > 0 || isThere($0.key) } }

    private static func less<Key: Hashable>(_ counts: inout [Key: Int], _ key: Key) {
        guard let count = counts[key] else { return }
        counts[key] = count > 1 ? count - 1 : nil
    }
}

/// What one edge gives to whom.
package struct EdgeShareLimits: Sendable, Hashable {
    /// Connections at once, legs and calls alike.
    package var connections = 10_000
    /// Connections of one address (of IPv6, of one /64) that have not shown who they are: splices, and what is no leg or call yet.
    package var connectionsPerAddress = 1000
    /// Those of them of which it is not even known what they want.
    package var handshakesPerAddress = 256
    /// Spliced calls of one address whose clients have not gone on after the server's part of inner TLS.
    package var unprovedPerAddress = 32
    /// Calls at once through one tunnel, of which half may be spliced.
    package var callsPerTunnel = 2000
    /// Calls at once through one tunnel of one caller: of an API key, of a session, or of an address where calls are spliced.
    package var callsPerCaller = 500
    /// New calls a second through one tunnel, over a burst of twice as many; half of both may be spliced.
    package var callsPerSecond = 1000
    /// Bytes a second through one tunnel, both ways together; `nil` for no bound.
    package var bytesPerSecond: Int?
    /// Calls at once of one workspace: half of the edge.
    package var callsPerWorkspace: Int { max(1, connections / 2) }
    /// Legs at once of one workspace. Where nothing is said, a quarter of the edge's connections, but never fewer than one tunnel may have.
    package var legsPerWorkspace: Int {
        get { legs ?? max(LegTable.mostLegs, connections / 4) }
        set { legs = newValue }
    }
    private var legs: Int?

    package init() {}
}

/// Why somebody gets no more of an edge.
enum ShareRefusal: String, Hashable, Sendable, CustomStringConvertible {
    case edge = "too_many_connections"
    case address = "too_many_of_address"
    case handshakes = "too_many_handshakes"
    case unproved = "too_many_unproved"
    case tunnel = "too_many_of_tunnel"
    case caller = "too_many_of_caller"
    case workspace = "too_many_of_workspace"
    case rate = "too_many_a_second"

    var description: String {
        switch self {
        case .edge: "the edge has as many connections as it takes; try again later, or another edge"
        case .address: "the address has as many connections to the edge as one may have; close some"
        case .handshakes: "the address begins more connections than it finishes"
        case .unproved: "the address has as many spliced calls as one may have whose inner handshakes are not through"
        case .tunnel: "the tunnel has as many calls as one may have at an edge; wait until some have ended"
        case .caller: "the caller has as many calls through the tunnel as one may have; wait until some have ended"
        case .workspace: "the workspace has as many calls as one may have at an edge; wait until some have ended"
        case .rate: "the tunnel gets more new calls a second than an edge lets through; slow down"
        }
    }

    /// 503 where the edge is full, 429 where somebody's share is used up (RFC 6585, section 4).
    var status: Int { self == .edge ? 503 : 429 }
}
