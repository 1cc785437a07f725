/// Something that one policy allows and another does not, as a sentence for people.
package struct PolicyExcess: Sendable, Hashable {
    /// The section of the policy.
    package var area: String
    package var text: String
}

extension Policy {
    /// What this policy allows beyond `other`.
    ///
    /// Both are asked for their decisions about every path, host, port, method, name and number that stands in either, and about neighbours
    /// of these; no rule of narrowing is used. For trees of files, exact hosts, ports, methods, numbers and names that is every case there
    /// is; for patterns it is samples of what they match.
    package func excess(over other: Policy) -> [PolicyExcess] {
        var excesses = fileExcess(over: other) + networkExcess(over: other) + secretExcess(over: other) + forwardExcess(over: other)
        excesses += numberExcess(over: other) + toolExcess(over: other) + redactionExcess(over: other)
        func add(_ area: String, _ text: String, if isMore: Bool) { if isMore { excesses.append(PolicyExcess(area: area, text: text)) } }
        for (name, value) in variables.sorted(by: { $0.key < $1.key }) {
            add("variables", "\(name) is set to \"\(printable(value))\"", if: other.variables[name] != value)
        }
        add("network", "the proxy process is shared with other sessions", if: egress == .shared && other.egress == .perSession)
        add("require_all_layers", "a sandbox starts with a layer missing", if: !requiresAllLayers && other.requiresAllLayers)
        var seen: Set<PolicyExcess> = []
        return excesses.filter { seen.insert($0).inserted }
    }

    /// Whether this policy allows nothing that `other` does not: see `excess(over:)` for how that is found out.
    package func isSubset(of other: Policy) -> Bool { excess(over: other).isEmpty }
}
