import PosternPolicy

/// The name service of a sandbox. It resolves nothing and asks nobody: every name that could be one gets an address of the sandbox's own
/// loopback, and the connection to that address is where the policy decides. A value without I/O.
///
/// A name that no rule allows gets an address too. `NXDOMAIN` would tell the client that the name does not exist; the address leads to a
/// 403 that names the rule and the remedy. It also gives nothing away: no query leaves the machine, so a name carries no data out.
struct SyntheticResolver: Sendable {
    /// Seconds for which a client may keep an answer.
    static let timeToLive: UInt32 = 10
    /// A query with a name of 255 bytes and an EDNS record has less; anything larger is no question for an address.
    static let longestQuery = 1_232

    private(set) var names: SyntheticNames

    init(capacity: Int = 4_096) {
        names = SyntheticNames(capacity: capacity)
    }

    /// The answer to `message`, `nil` when it deserves none.
    mutating func answer(_ message: [UInt8]) -> [UInt8]? {
        switch DNSQuery.read(message) {
        case .ignored: nil
        case .malformed(let id, let opcode): DNSQuery.message(id: id, opcode: opcode, .formatError)
        case .foreign(let id, let opcode): DNSQuery.message(id: id, opcode: opcode, .notImplemented)
        case .query(let query):
            message.count <= Self.longestQuery ? query.message(answer(query)) : DNSQuery.message(id: query.id, opcode: query.opcode, .formatError)
        }
    }

    /// The name that stands behind a local address of the sandbox.
    mutating func name(of address: UInt32) -> CanonicalHost? { names.name(of: address) }

    private mutating func answer(_ query: DNSQuery) -> DNSAnswer {
        // IN only; "*" and CHAOS (version.bind) are questions about the server.
        guard query.recordClass == 1 else { return .notImplemented }
        let text = Array(query.labels.joined(separator: [UInt8(ascii: ".")]))
        // A dot inside a label would make another name of it.
        guard !text.isEmpty, !query.labels.contains(where: { $0.contains(UInt8(ascii: ".")) }), let host = try? CanonicalHost(bytes: text),
            case .name(let name) = host
        else { return .nameError }
        if name == "localhost" || name.hasSuffix(".localhost") {
            // RFC 6761, section 6.3.
            return query.kind == DNSQuery.Kind.a.rawValue ? .address(0x7F00_0001, timeToLive: Self.timeToLive) : .empty
        }
        // RFC 6761, 6762, 7686: names that no name service answers.
        if ["local", "invalid", "onion", "arpa"].contains(where: { name == $0 || name.hasSuffix(".\($0)") }) { return .nameError }
        switch DNSQuery.Kind(rawValue: query.kind) {
        case .a: return .address(names.address(for: host), timeToLive: Self.timeToLive)
        case .aaaa, .svcb, .https: return .empty
        case .any, nil: return .notImplemented
        }
    }
}
