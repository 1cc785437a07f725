import PosternPolicy
import PosternTunnelWire

extension RoutePolicy {
    /// What is asked of the calls that pass, of all of them or of those that a rule is for.
    package struct Rules: Hashable, Sendable {
        /// Before the keys in refusals: empty for the policy's own, `rules[2].` or `rules.NAME.` for those of a rule.
        package var prefix = ""
        package var methods: NameRules
        package var tools: NameRules
        package var hints = HintRules()
        /// By tool.
        package var arguments: [String: ArgumentSchema] = [:]
        /// Only tools whose pinned definition has the annotation `readOnlyHint: true`.
        package var readOnly = false
        /// Largest body of a request; `nil`: no bound of its own.
        package var maxBodyBytes: Int?
        package var rate: Rate?

        package init(methods: NameRules, tools: NameRules) {
            self.methods = methods
            self.tools = tools
        }
    }

    /// A rule for some callers, some messages, or both. It only takes away.
    package struct Rule: Hashable, Sendable {
        /// `nil`: every caller.
        package var callers: PolicySubjects?
        /// Who is left out.
        package var except = PolicySubjects()
        package var scope = Scope()
        package var rules: Rules

        package init(_ rules: Rules) { self.rules = rules }

        func isFor(_ identity: RuntimeIdentity) -> Bool { callers?.mayInclude(identity) != false && !except.include(identity) }

        /// - Parameter hints: of the tool that is called; `nil` where its definition is not known.
        func isFor(method: String, tool: String?, _ hints: ToolHints?) -> Bool { scope.isEmpty || scope.covers(method, tool, hints) }
    }

    /// The messages that a rule is for; one of the lists is enough.
    package struct Scope: Hashable, Sendable {
        /// Against folded names: a server may not tell case apart.
        package private(set) var methods: [TextGlob] = []
        package private(set) var tools: [TextGlob] = []
        package var hints: [ToolHints.Pattern] = []

        package init() {}

        package init(methods: [TextGlob], tools: [TextGlob], hints: [ToolHints.Pattern]) throws(PolicyValueError) {
            for glob in methods { self.methods.append(try TextGlob(FoldedName.of(glob.description))) }
            for glob in tools { self.tools.append(try TextGlob(FoldedName.of(glob.description))) }
            self.hints = hints
        }

        /// Every message.
        var isEmpty: Bool { methods.isEmpty && tools.isEmpty && hints.isEmpty }

        func covers(_ method: String, _ tool: String?, _ hints: ToolHints?) -> Bool {
            let method = FoldedName.of(method)
            if methods.contains(where: { $0.matches(method) }) { return true }
            guard let tool else { return false }
            let folded = FoldedName.of(tool)
            if tools.contains(where: { $0.matches(folded) }) { return true }
            guard !self.hints.isEmpty else { return false }
            return hints.map { self.hints.contains(where: $0.fits) } ?? true
        }
    }

    /// Requests in a time.
    package struct Rate: Hashable, Sendable {
        package var perMinute: Int
        /// At once, after a pause.
        package var burst: Int
        package var per = Share.caller

        package static let bounds = 1...1_000_000

        package init(perMinute: Int, burst: Int, per: Share = .caller) {
            self.perMinute = perMinute
            self.burst = burst
            self.per = per
        }

        /// Whose requests are counted together.
        package enum Share: String, Hashable, Sendable, CaseIterable {
            /// Of one session; without a session of one client, else of one agent.
            case caller
            /// Of one agent, one person; callers that name none as `caller`.
            case agent
            case person
            case workspace
            /// Of all callers.
            case route

            /// With its kind, so that no name stands for two.
            func key(_ identity: RuntimeIdentity) -> String {
                switch self {
                case .caller: return Self.narrowest(identity)
                case .agent: return identity.agentID.map { "agent \($0)" } ?? Self.narrowest(identity)
                case .person: return identity.person.map { "person \($0)" } ?? Self.narrowest(identity)
                case .workspace: return "workspace \(identity.workspaceID)"
                case .route: return "route"
                }
            }

            private static func narrowest(_ identity: RuntimeIdentity) -> String {
                if let session = identity.sessionID { return "session \(session)" }
                if let client = identity.client { return "client \(identity.person?.utf8.count ?? 0) \(identity.person ?? "") \(client)" }
                if let agent = identity.agentID { return "agent \(agent)" }
                return "person \(identity.person ?? "")"
            }
        }
    }
}
