import PosternJSON

/// The answer to "may this be done?", with the entry that decides and where it was written.
package struct PolicyExplanation: Sendable, Hashable {
    package enum Verdict: String, Sendable, Hashable { case allowed, denied, asked }

    /// What was asked, as it was understood.
    package var question: String
    package var verdict: Verdict
    /// One sentence without a full stop.
    package var reason: String
    /// The deciding entry: `network.rules` with its id, `files.hidden[2]`; `nil` where no entry meant what was asked.
    package var rule: String?
    /// Where that entry was written.
    package var place: SourcePlace?
    /// What an operator would change; empty for what is allowed.
    package var remedy = ""
}

extension LoadedPolicy {
    /// Whether `method` at `url` may leave the sandbox; without a method, whether a connection may.
    /// - Parameters:
    ///   - url: `https://host[:port][/path]`, `http://…`, or `host:port`.
    ///   - credentials: names of the secrets whose placeholders the request carries where they belong.
    package func explain(method: String?, url: String, credentials: Set<String> = []) throws(PolicyValueError) -> PolicyExplanation {
        let scheme = ["https://", "http://"].first { url.lowercased().hasPrefix($0) }
        let rest = url.dropFirst(scheme?.count ?? 0)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = try Authority(String(rest[..<end]), defaultPort: scheme.map { $0 == "http://" ? 80 : 443 })
        var request = NetworkRequest(host: authority.host, port: authority.port)
        if let method {
            let target = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/" + rest[end...]
            let path = try RequestPath(target: target.utf8).path
            request.content = .init(method: method, path: path, encrypted: scheme != "http://", credentials: credentials)
        }
        let decision = policy.network.decide(request)
        var explanation = PolicyExplanation(
            question: "may \(request.text) be reached?", verdict: decision.verdict == .allow ? .allowed : .denied, reason: decision.reason)
        explanation.remedy = decision.remedy
        if let id = decision.rule {
            explanation.rule = "network.rules: \(id)"
            explanation.place = place(ofRule: id)
        }
        if decision.verdict == .allow, decision.opaque { explanation.reason += "; TLS is passed through unread" }
        if let address = authority.host.address, decision.verdict == .allow, let refusal = policy.network.addresses.refusal(of: address) {
            explanation.verdict = .denied
            explanation.reason = "\(refusal.address) is \(refusal.kind), which is not dialled unless it is named"
            explanation.remedy = refusal.remedy
        }
        return explanation
    }

    /// Whether a path may be read or written. One that begins with `/workspace` or does not begin with `/` is in the workspace.
    package func explain(path text: String, writing: Bool, denials: MandatoryDenials) throws(PolicyValueError) -> PolicyExplanation {
        let absolute = text.hasPrefix("/") ? text : "/workspace/" + text
        let path = try HostPath(absolute)
        let target: FileTarget = path.components.first == "workspace" ? .workspace(Array(path.components.dropFirst())) : .host(path)
        let decision = policy.files.decide(target, workspace: policy.workspace, denials: denials)
        let isAllowed = decision.access >= (writing ? .write : .read)
        var explanation = PolicyExplanation(
            question: "may \(target) be \(writing ? "written" : "read")?", verdict: isAllowed ? .allowed : .denied, reason: decision.reason)
        explanation.rule = decision.rule
        explanation.place = decision.rule.flatMap { place(ofFileRule: $0) }
        if !isAllowed { explanation.remedy = remedy(for: decision, target, writing) }
        return explanation
    }

    /// Whether a call may run.
    package func explain(tool: String, input: JSON) -> PolicyExplanation {
        let decision = policy.tools.decide(tool: tool, input: input)
        let verdict: PolicyExplanation.Verdict =
            switch decision.verdict {
            case .allow: .allowed
            case .ask: .asked
            case .deny: .denied
            }
        let call = input == [:] ? tool : "\(tool) with \(input.text)"
        var explanation = PolicyExplanation(question: "may \(printable(call)) run?", verdict: verdict, reason: decision.reason)
        explanation.rule = decision.rule
        explanation.place = decision.rule.flatMap { place(ofEntry: $0) }
        if verdict == .denied {
            explanation.remedy = "an operator can \(decision.rule == nil ? "add it to tools.allow" : "take the pattern out of tools.deny")"
        }
        return explanation
    }

    // MARK: - Places

    private func place(ofRule id: String) -> SourcePlace? {
        let rules = PolicyPath(keys: "network", "rules")
        if let place = place(ofElement: id, in: rules) { return place }
        if id == "registries" { return place(of: PolicyPath(keys: "network", "registries")) }
        let number = id.hasPrefix("rule-") ? Int(id.dropFirst("rule-".count)) : nil
        return number.flatMap { place(of: rules.index($0 - 1)) }
    }

    /// Where `files.hidden[2]` of the policy was written.
    private func place(ofFileRule rule: String) -> SourcePlace? {
        guard let entry = Self.entry(rule) else { return place(of: PolicyPath(keys: "workspace", "mode")) }
        let files = policy.files
        let texts: [String] =
            switch entry.keys.last {
            case "read": files.read.map(\.description)
            case "write": files.write.map(\.description)
            case "hidden": files.hidden.map(\.description)
            case "protected": files.protected.map(\.description)
            default: []
            }
        guard texts.indices.contains(entry.index) else { return nil }
        return place(ofElement: texts[entry.index], in: PolicyPath(entry.keys.map(PolicyPath.Element.key)))
    }

    private func place(ofEntry rule: String) -> SourcePlace? {
        Self.entry(rule).flatMap { place(of: PolicyPath($0.keys.map(PolicyPath.Element.key)).index($0.index)) }
    }

    /// The keys and the index of `tools.ask[1]`.
    private static func entry(_ rule: String) -> (keys: [String], index: Int)? {
        guard let bracket = rule.firstIndex(of: "["), let index = Int(rule[rule.index(after: bracket)...].dropLast()) else { return nil }
        return (rule[..<bracket].split(separator: ".").map(String.init), index)
    }

    private func remedy(for decision: FileDecision, _ target: FileTarget, _ writing: Bool) -> String {
        switch decision.rule?.split(separator: "[").first {
        case "files.hidden": return "an operator can take the pattern out of files.hidden"
        case "files.protected": return "an operator can take the pattern out of files.protected"
        case "workspace": return "an operator can set workspace.mode to rw or cow"
        case nil where decision.reason.hasPrefix("no policy"): return "no policy can lift this"
        default:
            guard case .host(let path) = target else { return "" }
            return "an operator can add \(path), or a folder around it, to files.\(writing ? "write" : "read")"
        }
    }
}
