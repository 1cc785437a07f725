import PosternEgress
import PosternPolicy

/// From refused requests to the policy that would allow them, in its narrowest form: exact host, port and method, the paths that were asked for,
/// and the secret where one was carried. A value without I/O. It decides nothing; whoever puts the policy in force does.
package struct PolicyLearner: Sendable {
    private struct Subject: Hashable {
        var destination: Authority
        var method: String
        var credential: String?
    }

    private let base: Policy
    /// The base is what the session ran under. Otherwise it is not known, and rules stand alone.
    private let knowsBase: Bool
    private var subjects: [Subject] = []
    private var paths: [Subject: Set<String>] = [:]
    private var addresses: [IPAddress] = []
    private var notes: [String] = []
    private var omitted = 0
    /// Refusals so far.
    package private(set) var count = 0

    /// More paths of one method become all below their common folder.
    static let mostPaths = 16
    private static let mostRules = 256
    private static let mostNotes = 50

    /// - Parameter base: what the session runs under; `nil` where that is not known here.
    package init(base: Policy?) {
        self.base = base ?? PolicyReader.profile(.strict).policy
        knowsBase = base != nil
    }

    package mutating func take(_ decision: EgressDecision) {
        guard decision.event == .refused else { return }
        count += 1
        switch decision.kind {
        case .policy: takeRequest(decision)
        case .address:
            guard let address = decision.address, AddressPolicy.canBeNamed(address), decision.rule != nil else { return note(decision) }
            if !addresses.contains(address) { addresses.append(address) }
        default: note(decision)
        }
    }

    /// Lines of the feed that were lost.
    package mutating func missed(_ lines: Int) { note("\(lines) decisions were lost, because this end was slow: learn again") }

    private mutating func takeRequest(_ decision: EgressDecision) {
        guard let destination = decision.destination, let method = decision.method, let path = decision.path else {
            let place = decision.destination.map { "\($0)" } ?? "a request"
            return note("\(place): the connection ended before a request could be read, so no rule is offered (\(decision.reason ?? ""))")
        }
        guard method.utf8.allSatisfy({ UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 }), method.utf8.count <= 32 else { return note(decision) }
        if knowsBase, !Self.lifts(base, destination, method, path) { return note(decision) }
        // A rule for an address is of no use unless it is dialled.
        if let address = destination.host.address, base.network.addresses.refusal(of: address) != nil, !addresses.contains(address) {
            guard AddressPolicy.canBeNamed(address) else { return note(decision) }
            addresses.append(address)
        }
        var credential: String?
        for name in decision.credentials {
            if base.secret(name) != nil {
                credential = name
            } else {
                note("\(destination): the request carried \"\(name)\"; pin the rule to it (credential)")
            }
        }
        let subject = Subject(destination: destination, method: method, credential: credential)
        if paths[subject] == nil {
            guard subjects.count < Self.mostRules else { return note(decision) }
            subjects.append(subject)
        }
        guard (paths[subject]?.count ?? 0) < 10_000 else { return }
        paths[subject, default: []].insert(path)
    }

    /// Whether one more rule would allow the request: no rule denies it, and none allows it already.
    private static func lifts(_ base: Policy, _ destination: Authority, _ method: String, _ path: String) -> Bool {
        let content = NetworkRequest.Content(method: method, path: path, encrypted: true)
        let request = NetworkRequest(host: destination.host, port: destination.port, content: content)
        let before = base.network.decide(request)
        // A rule that needs a credential says no here too, and one more rule may well be what is wanted.
        guard before.verdict == .deny else { return false }
        var more = base.network
        more.rules.append(NetworkRule(id: "more", hosts: [HostPattern(.exactly(destination.host), port: destination.port)]))
        return more.decide(request).verdict == .allow
    }

    private mutating func note(_ decision: EgressDecision) {
        let place = decision.destination.map { "\($0): " } ?? ""
        note("\(place)\(decision.reason ?? "refused")")
    }

    private mutating func note(_ text: String) {
        guard !notes.contains(text) else { return }
        if notes.count < Self.mostNotes { notes.append(text) } else { omitted += 1 }
    }

    // MARK: What was learned

    /// Whether some of it can be allowed by a policy.
    package var hasLearned: Bool { !subjects.isEmpty || !addresses.isEmpty }

    /// The base and what was learned.
    package var policy: Policy {
        var policy = base
        if !knowsBase { policy.name = "learned" }
        var number = 0
        for subject in subjects {
            repeat { number += 1 } while policy.network.rules.contains { $0.id == "learned-\(number)" }
            var rule = NetworkRule(
                id: "learned-\(number)", hosts: [HostPattern(.exactly(subject.destination.host), port: subject.destination.port)])
            rule.methods = [subject.method]
            rule.paths = Self.patterns(of: paths[subject] ?? [])
            rule.credential = subject.credential
            policy.network.rules.append(rule)
        }
        policy.network.addresses.allowed += addresses.map { AddressRange($0) }.filter { !policy.network.addresses.allowed.contains($0) }
        return policy
    }

    /// The policy as a document, with what has to be said about it in front.
    package var document: String {
        var head = [
            "Learned from \(count) refused requests. READ IT BEFORE USE: the program inside chose these hosts and paths, and whatever stands here",
            "may leave. Take out what is not meant.",
        ]
        if !knowsBase, hasLearned { head.append("The policy that the sessions ran under is not in it: add these rules to that one.") }
        if !hasLearned { head.append("Nothing was refused that a rule could allow.") }
        if !notes.isEmpty { head.append("Not in it:") }
        head += notes.map { "  \($0)" }
        if omitted > 0 { head.append("  and \(omitted) more") }
        return head.map { "# \(printable($0))\n" }.joined() + policy.shortYAML
    }

    /// The paths themselves, or all below their common folder where they are many.
    static func patterns(of paths: Set<String>) -> [PathPattern] {
        var texts = Set(paths.map(literal))
        if texts.count > mostPaths, let first = texts.min(), let last = texts.max() {
            let common = zip(first.utf8, last.utf8).prefix { $0 == $1 }.count
            texts = [folder(String(decoding: first.utf8.prefix(common), as: UTF8.self))]
        }
        return texts.sorted().compactMap { try? PathPattern($0) }
    }

    /// A pattern for one path. It cannot mean a star as such: one character there is the nearest.
    private static func literal(_ path: String) -> String {
        let text = path.replacing("*", with: "?")
        return text.utf8.count <= EgressRefusal.longestPath ? text : folder(String(text.prefix(EgressRefusal.longestPath - 2)))
    }

    private static func folder(_ path: String) -> String { String(path[...(path.lastIndex(of: "/") ?? path.startIndex)]) + "**" }
}
