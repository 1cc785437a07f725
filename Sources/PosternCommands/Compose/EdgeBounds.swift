import NIOCore
import PosternEdge
import PosternJSON

/// What an edge gives to whom, and what it takes for a connector's proof: as its options say, or the settings of the server that starts it.
struct EdgeBounds: Sendable, Equatable {
    var shares = EdgeShareLimits()
    /// After so many seconds without a byte a call is ended.
    var idleSeconds = 900
    var legProof = LegProofRule.certificate

    static let idleSeconds = 10...86_400
    static let legProofs = ["certificate", "challenge"]

    init() {}

    /// From the server's settings.
    init(_ configuration: Configuration) throws {
        shares.connections = try configuration.integer(.edgeMaxConnections)
        shares.connectionsPerAddress = try configuration.integer(.edgeMaxConnectionsPerAddress)
        shares.handshakesPerAddress = min(shares.handshakesPerAddress, shares.connectionsPerAddress)
        shares.unprovedPerAddress = try configuration.integer(.edgeMaxUnprovedPerAddress)
        if let legs = try configuration.optionalInteger(.edgeMaxLegsPerWorkspace) { shares.legsPerWorkspace = legs }
        shares.callsPerTunnel = try configuration.integer(.edgeMaxCallsPerTunnel)
        shares.callsPerCaller = try configuration.integer(.edgeMaxCallsPerCaller)
        shares.callsPerSecond = try configuration.integer(.edgeMaxCallsPerSecond)
        let bytes = try configuration.integer(.edgeMaxBytesPerSecond)
        guard bytes == 0 || bytes >= 1024 else {
            throw ConfigurationError("edge.max_bytes_per_second: \(bytes): it must be 0, for no bound, or at least 1024")
        }
        shares.bytesPerSecond = bytes == 0 ? nil : bytes
        idleSeconds = try configuration.integer(.edgeMaxIdleSeconds)
        legProof = try EdgeBounds.legProof(
            configuration.required(.edgeLegProof), terminators: configuration.text(.edgeLegTerminators), option: "edge.leg_proof")
    }

    func apply(to settings: inout EdgeSettings) {
        settings.limits.shares = shares
        settings.limits.idle = .seconds(Int64(idleSeconds))
        settings.legProof = legProof
    }

    /// - Parameter terminators: a PEM file with the certificates of whatever ends TLS in front of the edge; `nil` for any.
    static func legProof(_ name: String, terminators: String?, option: String) throws -> LegProofRule {
        guard name == "challenge" else {
            guard name == "certificate" else { throw ConfigurationError("\(option) \(name): it must be one of \(legProofs.joined(separator: ", "))") }
            guard terminators == nil else { throw ConfigurationError("\(option): who may end TLS matters where it is challenge only") }
            return .certificate
        }
        guard let terminators else { return .challenge(terminators: nil) }
        let text = try TextFile.read(terminators)
        guard let known = LegProofRule.fingerprints(pem: Array(text.utf8)) else {
            throw ConfigurationError("\(terminators) holds no certificate in PEM")
        }
        return .challenge(terminators: known)
    }

    // MARK: Handing over

    var json: JSON {
        var object: JSONObject = [
            "connections": JSON(shares.connections), "connections_per_address": JSON(shares.connectionsPerAddress),
            "handshakes_per_address": JSON(shares.handshakesPerAddress), "unproved_per_address": JSON(shares.unprovedPerAddress),
            "legs_per_workspace": JSON(shares.legsPerWorkspace), "calls_per_tunnel": JSON(shares.callsPerTunnel),
            "calls_per_caller": JSON(shares.callsPerCaller), "calls_per_second": JSON(shares.callsPerSecond),
            "bytes_per_second": JSON(shares.bytesPerSecond ?? 0), "idle_seconds": JSON(idleSeconds),
        ]
        if case .challenge(let terminators) = legProof {
            object["leg_proof"] = terminators.map { .array($0.sorted().map(JSON.string)) } ?? "any"
        }
        return .object(object)
    }

    /// `nil` where it is not what `json` gives.
    init?(json: JSON) {
        guard let object = json.object, let idle = object["idle_seconds"]?.int else { return nil }
        func number(_ key: String) -> Int { Int(object[key]?.int ?? 0) }
        shares.connections = number("connections")
        shares.connectionsPerAddress = number("connections_per_address")
        shares.handshakesPerAddress = number("handshakes_per_address")
        shares.unprovedPerAddress = number("unproved_per_address")
        shares.legsPerWorkspace = number("legs_per_workspace")
        shares.callsPerTunnel = number("calls_per_tunnel")
        shares.callsPerCaller = number("calls_per_caller")
        shares.callsPerSecond = number("calls_per_second")
        shares.bytesPerSecond = number("bytes_per_second") == 0 ? nil : number("bytes_per_second")
        idleSeconds = Int(idle)
        switch object["leg_proof"] {
        case nil: break
        case let proof?: legProof = .challenge(terminators: proof.array.map { Set($0.compactMap(\.string)) })
        }
    }
}
