extension Policy {
    /// Requests that this policy lets out and the other does not, or with more freedom.
    func networkExcess(over other: Policy) -> [PolicyExcess] {
        var excesses: [PolicyExcess] = []
        // One line for each host, method and kind of freedom: the first request, and how many are like it.
        var firsts: [(key: String, text: String, count: Int)] = []
        for request in networkRequests(with: other) {
            let mine = network.decide(request)
            guard mine.verdict == .allow, let more = Self.freedom(of: mine, over: other.network.decide(request)) else { continue }
            let key = "\(request.host) \(request.content?.method ?? "") \(more)"
            if let index = firsts.firstIndex(where: { $0.key == key }) {
                firsts[index].count += 1
            } else {
                firsts.append((key, "\(request.text) \(more)", 1))
            }
        }
        for first in firsts {
            excesses.append(PolicyExcess(area: "network", text: first.count == 1 ? first.text : "\(first.text), and \(first.count - 1) like it"))
        }
        for address in addresses(with: other) where network.addresses.refusal(of: address) == nil {
            if other.network.addresses.refusal(of: address) != nil {
                excesses.append(PolicyExcess(area: "network", text: "\(address) is dialled"))
            }
        }
        return excesses
    }

    private static func freedom(of mine: NetworkDecision, over theirs: NetworkDecision) -> String? {
        if theirs.verdict == .deny { return "is allowed" }
        if mine.opaque, !theirs.opaque { return "is passed through unread" }
        if !mine.credentials.isSuperset(of: theirs.credentials) { return "needs no credential" }
        if !mine.upgrades.isSubset(of: theirs.upgrades) {
            return "may switch to \(mine.upgrades.subtracting(theirs.upgrades).sorted().joined(separator: ", "))"
        }
        for (own, bound, verb) in [(mine.maximumSent, theirs.maximumSent, "send"), (mine.maximumReceived, theirs.maximumReceived, "receive")] {
            if let bound, own.map({ $0 > bound }) ?? true { return "may \(verb) more than \(Quantity.text(bytes: bound))" }
        }
        return nil
    }

    private func networkRequests(with other: Policy) -> [NetworkRequest] {
        let rules = ([network, other.network]).flatMap { [$0.rules] + $0.ceilings }.flatMap { $0 }
        let hosts = Set(rules.flatMap { $0.hosts.flatMap(PatternSamples.hosts(of:)) }).sorted { $0.description < $1.description }
        var requests: [NetworkRequest] = []
        for host in hosts {
            // What rules about other hosts say cannot matter here.
            let near = rules.filter { rule in rule.hosts.contains { $0.covers(host) } }
            let ports = Set(near.flatMap { $0.ports + $0.hosts.compactMap(\.port) } + [80, 443, 9]).sorted()
            let contents = Self.contents(of: near)
            for port in ports {
                requests.append(NetworkRequest(host: host, port: port))
                for content in contents { requests.append(NetworkRequest(host: host, port: port, content: content)) }
            }
        }
        return requests
    }

    private static func contents(of rules: [NetworkRule]) -> [NetworkRequest.Content] {
        let methods = Set(rules.flatMap(\.methods) + ["GET", "PURGE"]).sorted()
        let paths = Set(rules.flatMap { $0.paths.flatMap(PatternSamples.paths(of:)) } + ["/", "/sample"]).sorted()
        let names = Set(rules.compactMap(\.credential)).sorted()
        let credentials: [Set<String>] = [[]] + names.map { [$0] } + (names.count > 1 ? [Set(names)] : [])
        let asksForTLS = rules.contains(where: \.opaque)
        var contents: [NetworkRequest.Content] = []
        for method in methods {
            for path in paths {
                for held in credentials {
                    contents.append(.init(method: method, path: path, encrypted: true, credentials: held))
                    // Only opaque rules ask for encryption, and only rules with a credential look at others.
                    if asksForTLS { contents.append(.init(method: method, path: path, encrypted: false, credentials: held)) }
                    if names.isEmpty { continue }
                    contents.append(.init(method: method, path: path, encrypted: true, credentials: held, foreignCredential: "authorization"))
                }
            }
        }
        return contents
    }

    private func addresses(with other: Policy) -> [IPAddress] {
        let ranges = (network.addresses.allowed + other.network.addresses.allowed).map(\.base)
        return ranges.flatMap { base in
            switch base {
            case .v4(let value): [base, .v4(value &+ 1), .v4(value &- 1), .v4(value | 0xFF)]
            case .v6(let high, let low): [base, .v6(high, low &+ 1), .v6(high, low | 0xFF)]
            }
        }
    }
}

extension NetworkRequest {
    /// `GET /path at host:port`, as explanations and comparisons write it.
    package var text: String {
        let place = host.authority(port: port)
        guard let content else { return "a connection to \(place)" }
        var text = "\(content.method) \(printable(content.path)) at \(place)"
        if !content.encrypted { text += " unencrypted" }
        if !content.credentials.isEmpty { text += " with \(content.credentials.sorted().joined(separator: ", "))" }
        if content.foreignCredential != nil { text += " with a credential of the sandbox's own" }
        return text
    }
}
