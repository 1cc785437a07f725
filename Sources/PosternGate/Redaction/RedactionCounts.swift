/// How often each rule was met, by the rule's name. Names only: no text that was found.
package struct RedactionCounts: Sendable, Equatable {
    package private(set) var byRule: [String: Int] = [:]

    package init() {}

    package var isEmpty: Bool { byRule.isEmpty }
    package var total: Int { byRule.values.reduce(0, +) }

    package mutating func add(_ rule: String, _ count: Int = 1) { byRule[rule, default: 0] += count }

    package mutating func add(_ other: RedactionCounts) {
        for (rule, count) in other.byRule { add(rule, count) }
    }

    /// Sorted by name: `aws-access-key 2, secret DEPLOY_TOKEN 1`.
    package var text: String { byRule.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ") }
}
