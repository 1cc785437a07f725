import ArgumentParser
import PosternEdge

/// What an edge gives to whom.
struct EdgeShareOptions: ParsableArguments {
    @Option(name: .long, help: "Connections at once, legs and calls alike. Calls of one workspace may be half of them.")
    var maxConnections = EdgeShareLimits().connections

    @Option(name: .long, help: "Connections at once of one address (IPv6: of one /64) that have not shown who they are: spliced calls are such.")
    var maxConnectionsPerAddress = EdgeShareLimits().connectionsPerAddress

    @Option(name: .long, help: "Spliced calls at once of one address whose inner TLS handshakes are not through.")
    var maxUnprovedPerAddress = EdgeShareLimits().unprovedPerAddress

    @Option(name: .long, help: "Legs at once of one workspace; a quarter of the connections, but at least 64, where it is not said.")
    var maxLegsPerWorkspace: Int?

    @Option(name: .long, help: "Calls at once through one tunnel; half of them may be spliced.")
    var maxCallsPerTunnel = EdgeShareLimits().callsPerTunnel

    @Option(name: .long, help: "Calls at once through one tunnel of one API key, one session, or one address where calls are spliced.")
    var maxCallsPerCaller = EdgeShareLimits().callsPerCaller

    @Option(name: .long, help: "New calls a second through one tunnel, over a burst of twice as many; half of them may be spliced.")
    var maxCallsPerSecond = EdgeShareLimits().callsPerSecond

    @Option(name: .long, help: "Bytes a second through one tunnel, both ways together; 0 is no bound.")
    var maxBytesPerSecond = 0

    func limits() throws(ConfigurationError) -> EdgeShareLimits {
        var limits = EdgeShareLimits()
        let numbers = [
            ("--max-connections", maxConnections), ("--max-connections-per-address", maxConnectionsPerAddress),
            ("--max-calls-per-tunnel", maxCallsPerTunnel), ("--max-calls-per-caller", maxCallsPerCaller),
            ("--max-calls-per-second", maxCallsPerSecond), ("--max-unproved-per-address", maxUnprovedPerAddress),
            ("--max-legs-per-workspace", maxLegsPerWorkspace ?? limits.legsPerWorkspace),
        ]
        for (name, number) in numbers where !(1...1_000_000).contains(number) {
            throw ConfigurationError("\(name) \(number): it must be from 1 to 1000000")
        }
        guard maxBytesPerSecond == 0 || maxBytesPerSecond >= 1024 else {
            throw ConfigurationError("--max-bytes-per-second \(maxBytesPerSecond): it must be 0, for no bound, or at least 1024")
        }
        limits.connections = maxConnections
        limits.connectionsPerAddress = maxConnectionsPerAddress
        limits.handshakesPerAddress = min(limits.handshakesPerAddress, maxConnectionsPerAddress)
        limits.unprovedPerAddress = maxUnprovedPerAddress
        if let maxLegsPerWorkspace { limits.legsPerWorkspace = maxLegsPerWorkspace }
        limits.callsPerTunnel = maxCallsPerTunnel
        limits.callsPerCaller = maxCallsPerCaller
        limits.callsPerSecond = maxCallsPerSecond
        limits.bytesPerSecond = maxBytesPerSecond == 0 ? nil : maxBytesPerSecond
        return limits
    }
}
