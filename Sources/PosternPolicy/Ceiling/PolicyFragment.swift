import PosternJSON

/// What an environment's or a session's metadata asks for under the key `postern.policy`: less than the ceiling allows.
///
/// It comes from the control plane, so nothing in it is trusted. It is JSON; it is turned into a whole policy under the ceiling, and the
/// ceiling narrowed by that, so there is no way for it to widen anything. One that cannot be read must stop the session: to go on without
/// it would be to allow more than was asked for.
package struct PolicyFragment: Sendable, Hashable {
    package static let metadataKey = "postern.policy"

    package var read: [HostPath]?
    package var write: [HostPath]?
    package var hidden: [PathGlob] = []
    package var protected: [PathGlob] = []
    package var workspace: WorkspaceMode?
    /// Ids of rules that go on allowing; rules that deny always stay.
    package var allowedRules: [String]?
    /// Rules that have to allow a request as well.
    package var rules: [NetworkRule]?
    package var secrets: [String]?
    package var forwards: [String]?
    /// The short form: rules, forwards and secrets that stay, by name. A secret stays too if a rule or a forward that stays needs it.
    package var names: [String]?
    package var limits = ResourceLimits()
    package var resultBudgets = ResultBudgets()
    package var egressBudgets = ByteBudgets(overrun: .ask)
    package var variables: [String]?
    package var tools: ToolRules.List?
    package var requiresAllLayers = false

    /// Asks for nothing less.
    package init() {}

    /// The whole policy that is asked for under `ceiling`. It is not to be used by itself: see `Policy.narrowed(by:)`.
    package func request(under ceiling: Policy) -> Policy {
        var request = ceiling
        let files = ceiling.files
        // What can be written can be read, so a list of readable trees alone bounds the writable ones too.
        let writable = write ?? read.map { HostPath.intersection(files.write, $0) } ?? files.write
        request.files = FileRules(read: read ?? files.read + files.write, write: writable, hidden: hidden, protected: protected)
        request.workspace = workspace ?? ceiling.workspace
        if let rules { request.network.rules = rules }
        if let allowed = allowedRules ?? names {
            // Beside the fragment's own rules the policy's are a list of their own, which loses what is not named.
            let kept = ceiling.network.rules.filter { $0.verdict == .deny || allowed.contains($0.id) }
            request.network = NetworkPolicy(rules: request.network.rules, addresses: ceiling.network.addresses)
            request.network = request.network.narrowed(by: NetworkPolicy(rules: kept, addresses: ceiling.network.addresses))
        }
        request.network.budgets = egressBudgets
        let keptForwards = forwards ?? names
        request.forwards = ceiling.forwards.filter { keptForwards?.contains($0.name) ?? true }
        let keptSecrets = secrets ?? names.map { $0 + needed(by: $0, of: ceiling) }
        request.secrets = ceiling.secrets.filter { keptSecrets?.contains($0.name) ?? true }
        request.limits = limits
        request.resultBudgets = resultBudgets
        if let variables { request.variables = ceiling.variables.filter { variables.contains($0.key) } }
        if let tools { request.tools = ToolRules(tools) }
        request.requiresAllLayers = requiresAllLayers
        return request
    }

    /// Names that the ceiling does not have: of no effect, and probably a mistake.
    package func unknownNames(under ceiling: Policy) -> [String] {
        let rules = ceiling.network.rules.map(\.id)
        let forwards = ceiling.forwards.map(\.name)
        let secrets = ceiling.secrets.map(\.name)
        let unknown =
            (allowedRules ?? []).filter { !rules.contains($0) } + (self.forwards ?? []).filter { !forwards.contains($0) }
            + (self.secrets ?? []).filter { !secrets.contains($0) } + (variables ?? []).filter { ceiling.variables[$0] == nil }
            + (names ?? []).filter { !(rules + forwards + secrets).contains($0) }
        return unknown.sorted()
    }

    private func needed(by names: [String], of ceiling: Policy) -> [String] {
        let rules = ceiling.network.rules.filter { names.contains($0.id) }.compactMap(\.credential)
        let forwards = ceiling.forwards.filter { names.contains($0.name) }.compactMap { forward in
            if case .postgres(let postgres) = forward.kind { postgres.secret } else { nil }
        }
        return rules + forwards
    }
}

extension Policy {
    /// Lists of rules that can hold beside one another. Each fragment can add one, and each decision asks all of them.
    package static let maximumCeilings = 32

    /// This policy as far as `fragment` asks for it. Fragments come from the control plane again and again; one that would make more than
    /// `maximumCeilings` lists hold together leaves no network and no tool at all, so that decisions stay bounded and nothing widens.
    package func narrowed(by fragment: PolicyFragment) -> Policy {
        var effective = narrowed(by: fragment.request(under: self))
        if effective.network.ceilings.count > Self.maximumCeilings {
            effective.network = NetworkPolicy(addresses: effective.network.addresses, budgets: effective.network.budgets)
            effective.forwards = []
        }
        if effective.tools.ceilings.count > Self.maximumCeilings { effective.tools = ToolRules() }
        return effective
    }
}
