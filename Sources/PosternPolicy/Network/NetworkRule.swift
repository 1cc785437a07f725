import PosternJSON

/// One line of the network policy: which requests it means, and whether they may leave.
package struct NetworkRule: Sendable, Hashable {
    package enum Verdict: String, Sendable, Hashable, CaseIterable {
        case allow, deny
    }

    /// Names the rule in refusals and in the audit: 1 to 64 letters, digits, `-`, `_`, `.`, unique within a policy.
    package var id: String
    package var verdict: Verdict
    /// At least one.
    package var hosts: [HostPattern]
    /// For patterns without a port. Empty: 80 and 443 in a rule that allows, every port in a rule that denies.
    package var ports: [UInt16] = []
    /// Upper case; empty for every method.
    package var methods: [String] = []
    /// Empty for every path. Matched against the normal form, without query.
    package var paths: [PathPattern] = []
    /// The secret whose placeholder a request must carry where its binding says. A request without it, or with a value of the sandbox's
    /// own in that place, is not meant by the rule. For rules that allow.
    package var credential: String?
    /// TLS to these hosts is passed through unread once the server name is checked: no secret, no method, path or credential.
    package var opaque = false
    /// Protocols that a request may switch to (`websocket`), lower case. Empty: `Upgrade` is refused.
    package var upgrades: [String] = []
    /// Bytes that one call (a request, or an opaque connection) may send, and receive; `nil` is no bound but the budgets'.
    package var maximumSent: Int?
    package var maximumReceived: Int?

    package init(id: String, _ verdict: Verdict = .allow, hosts: [HostPattern]) {
        self.id = id
        self.verdict = verdict
        self.hosts = hosts
    }

    /// The ports that stand for patterns without one; empty for all.
    var effectivePorts: [UInt16] { ports.isEmpty && verdict == .allow ? [80, 443] : ports }

    /// Whether `host` on `port` is meant by some pattern.
    package func covers(_ host: CanonicalHost, port: UInt16) -> Bool {
        hosts.contains { $0.covers(host, port: port, ports: effectivePorts) }
    }

    /// Whether the rule looks at what only an unencrypted request shows.
    package var needsInspection: Bool { !methods.isEmpty || !paths.isEmpty || credential != nil }
}

extension NetworkRule {
    /// Also for a rule without id: it is then called `defaultID`.
    package init(json: JSON, defaultID: String? = nil) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        let id = try fields.string("id") ?? defaultID
        guard let id, (1...64).contains(id.utf8.count), id.utf8.allSatisfy(Self.isIDByte) else {
            throw PolicyValueError(path: ["id"], value: id ?? "", rule: "must be 1 to 64 letters, digits, '-', '_' or '.'")
        }
        self.id = id
        verdict = try fields.choice("verdict", Verdict.self) ?? .allow
        hosts = try fields.list("hosts") { (json: JSON) throws(PolicyValueError) in try HostPattern(json: json) }
        guard !hosts.isEmpty else {
            throw PolicyValueError(path: ["hosts"], value: "[]", rule: "must name at least one host", remedy: "leave the rule out to allow nothing")
        }
        ports = try fields.list("ports") { (json: JSON) throws(PolicyValueError) -> UInt16 in
            guard let port = json.int.flatMap({ UInt16(exactly: $0) }), port > 0 else {
                throw PolicyValueError(value: json.text, rule: "a port is a number from 1 to 65535")
            }
            return port
        }
        methods = try fields.list("methods") { (json: JSON) throws(PolicyValueError) -> String in
            let text = try FieldReader.text(json)
            guard (1...32).contains(text.utf8.count), text.utf8.allSatisfy({ UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 }), text != "CONNECT" else {
                throw PolicyValueError(value: text, rule: "a method is upper-case letters, and not CONNECT")
            }
            return text
        }
        paths = try fields.list("paths") { (json: JSON) throws(PolicyValueError) in try PathPattern(json: json) }
        credential = try fields.string("credential")
        opaque = try fields.bool("opaque") ?? false
        upgrades = try fields.strings("upgrades").map { $0.lowercased() }
        maximumSent = try fields.int("max_sent", in: 0...Int.max)
        maximumReceived = try fields.int("max_received", in: 0...Int.max)
        try fields.finish()
        try checkTogether()
    }

    private static func isIDByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private func checkTogether() throws(PolicyValueError) {
        if opaque, needsInspection || !upgrades.isEmpty {
            throw PolicyValueError(
                path: ["opaque"], value: "true", rule: "an opaque host is not read, so methods, paths, credential and upgrades cannot be held",
                remedy: "leave out either these or \"opaque\"")
        }
        if opaque, verdict == .allow, maximumSent == nil {
            throw PolicyValueError(
                path: ["max_sent"], value: "", rule: "an opaque host needs a bound on the bytes of one connection", remedy: "add \"max_sent\"")
        }
        if verdict == .deny, credential != nil || opaque || !upgrades.isEmpty || maximumSent != nil || maximumReceived != nil {
            throw PolicyValueError(
                path: ["verdict"], value: "deny", rule: "a rule that denies has hosts, ports, methods and paths only")
        }
    }

    package var json: JSON {
        var object: JSONObject = ["id": .string(id), "verdict": .string(verdict.rawValue), "hosts": .array(hosts.map(\.json))]
        if !ports.isEmpty { object["ports"] = .array(ports.map { JSON(Int($0)) }) }
        if !methods.isEmpty { object["methods"] = .array(methods.map(JSON.string)) }
        if !paths.isEmpty { object["paths"] = .array(paths.map(\.json)) }
        if let credential { object["credential"] = .string(credential) }
        if opaque { object["opaque"] = true }
        if !upgrades.isEmpty { object["upgrades"] = .array(upgrades.map(JSON.string)) }
        if let maximumSent { object["max_sent"] = JSON(maximumSent) }
        if let maximumReceived { object["max_received"] = JSON(maximumReceived) }
        return .object(object)
    }
}
