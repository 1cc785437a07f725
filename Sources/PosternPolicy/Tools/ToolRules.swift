import PosternJSON

/// What a policy says to one tool call, the strictest first.
package enum ToolVerdict: Int, Sendable, Hashable, Comparable {
    case deny
    /// Somebody inside the perimeter is asked, and the call waits.
    case ask
    case allow

    package static func < (left: ToolVerdict, right: ToolVerdict) -> Bool { left.rawValue < right.rawValue }
}

package struct ToolDecision: Sendable, Hashable {
    package var verdict: ToolVerdict
    /// Path of the deciding entry, such as `tools.ask[1]`; `nil` where no entry meant the call.
    package var rule: String?
    /// One sentence without a full stop.
    package var reason: String
}

/// Calls that are to be approved inside the perimeter before they run.
///
/// The patterns see arguments as text. A shell has a hundred ways to write one command, so a pattern over `/command` is for approval of
/// what an agent does in good faith; what must not happen is forbidden by files, network and limits.
package struct ToolQuestion: Sendable, Hashable {
    /// Bytes of an argument that patterns look at.
    package static let maximumText = 65_536

    /// Patterns over the tool's name, of which one must match.
    package var tools: [TextGlob]
    /// For each pointer the patterns of which one must match the argument there; all pointers must match. A text is matched as it is,
    /// another value as its compact JSON; an absent one matches nothing. One of more than `maximumText` bytes counts as matching, so that
    /// length is no way around a question and matching stays quick. Empty: every call of the tool.
    package var when: [JSONPointer: [TextGlob]]
    /// Shown to whoever is asked.
    package var reason: String?

    package init(tools: [TextGlob], when: [JSONPointer: [TextGlob]] = [:], reason: String? = nil) {
        self.tools = tools
        self.when = when
        self.reason = reason
    }

    package func covers(_ tool: String, _ input: JSON) -> Bool {
        guard tools.contains(where: { $0.matches(tool) }) else { return false }
        return when.allSatisfy { pointer, globs in
            guard let value = pointer.value(in: input) else { return false }
            let text = value.string ?? value.text
            if text.utf8.count > Self.maximumText { return true }
            return globs.contains { $0.matches(text) }
        }
    }
}

/// Which tools an agent may call. `deny` wins over `ask`, `ask` over `allow`; what no entry names is denied.
package struct ToolRules: Sendable, Hashable {
    package struct List: Sendable, Hashable {
        package var allow: [TextGlob] = []
        package var deny: [TextGlob] = []
        package var ask: [ToolQuestion] = []

        package init(allow: [TextGlob] = [], deny: [TextGlob] = [], ask: [ToolQuestion] = []) {
            self.allow = allow
            self.deny = deny
            self.ask = ask
        }

        func decide(_ tool: String, _ input: JSON) -> ToolDecision {
            if let index = deny.firstIndex(where: { $0.matches(tool) }) {
                return ToolDecision(verdict: .deny, rule: "tools.deny[\(index)]", reason: "the policy denies the tool \(printable(tool))")
            }
            guard let allowed = allow.firstIndex(where: { $0.matches(tool) }) else {
                return ToolDecision(verdict: .deny, rule: nil, reason: "the policy allows no tool \(printable(tool))")
            }
            if let index = ask.firstIndex(where: { $0.covers(tool, input) }) {
                return ToolDecision(verdict: .ask, rule: "tools.ask[\(index)]", reason: ask[index].reason ?? "the policy wants this call approved")
            }
            return ToolDecision(verdict: .allow, rule: "tools.allow[\(allowed)]", reason: "the policy allows the tool \(printable(tool))")
        }
    }

    package var list: List
    /// Lists of the policies around this one: each of them is asked too, and the strictest answer holds.
    package internal(set) var ceilings: [List] = []

    package init(_ list: List = List()) { self.list = list }

    /// Some call waits for somebody inside the perimeter.
    package var asks: Bool { ([list] + ceilings).contains { !$0.ask.isEmpty } }

    /// Whether a call of `tool` with these arguments may run.
    package func decide(tool: String, input: JSON) -> ToolDecision {
        ceilings.reduce(list.decide(tool, input)) { strictest, ceiling in
            let decision = ceiling.decide(tool, input)
            return decision.verdict < strictest.verdict ? decision : strictest
        }
    }

    /// What both let run. The lists go on holding side by side, so no combination of patterns can widen either.
    package func narrowed(by other: ToolRules) -> ToolRules {
        var both = self
        for list in [other.list] + other.ceilings where list != both.list && !both.ceilings.contains(list) { both.ceilings.append(list) }
        return both
    }
}
