/// The decision of one list of rules. Rules that deny come first wherever they stand; among those that allow, the first that means the
/// whole request decides.
struct NetworkDecider {
    let rules: [NetworkRule]
    /// What is dialled, whatever the rules say: for the remedy.
    let addresses: AddressPolicy

    func decide(_ request: NetworkRequest) -> NetworkDecision {
        let candidates = rules.filter { $0.verdict == .allow && $0.covers(request.host, port: request.port) }
        let unread = request.content == nil && candidates.first?.opaque == true
        for rule in rules where rule.verdict == .deny && rule.covers(request.host, port: request.port) {
            if let content = request.content {
                guard Self.means(rule, content) else { continue }
            } else if rule.needsInspection, !unread {
                continue  // Decided when the request is there. What will never be read is denied at once.
            }
            return NetworkDecision(
                .deny, rule: rule.id, reason: "rule \"\(rule.id)\" denies \(Self.text(request))",
                remedy: "an operator can take \(request.host) out of rule \"\(rule.id)\"")
        }
        guard let first = candidates.first else { return noRule(request) }
        guard let content = request.content else { return allow(first, request) }
        if let rule = candidates.first(where: { Self.allows($0, content) }) { return allow(rule, request) }
        return Self.mismatch(first, request, content)
    }

    private static func means(_ rule: NetworkRule, _ content: NetworkRequest.Content) -> Bool {
        (rule.methods.isEmpty || rule.methods.contains(content.method))
            && (rule.paths.isEmpty || rule.paths.contains { $0.covers(content.path) })
    }

    private static func allows(_ rule: NetworkRule, _ content: NetworkRequest.Content) -> Bool {
        guard means(rule, content) else { return false }
        if rule.opaque { return content.encrypted }
        guard let credential = rule.credential else { return true }
        return content.credentials.contains(credential) && content.foreignCredential == nil
    }

    private func allow(_ rule: NetworkRule, _ request: NetworkRequest) -> NetworkDecision {
        var decision = NetworkDecision(.allow, rule: rule.id, reason: "rule \"\(rule.id)\" allows \(Self.text(request))")
        decision.opaque = rule.opaque
        if let credential = rule.credential { decision.credentials = [credential] }
        decision.upgrades = Set(rule.upgrades)
        decision.maximumSent = rule.maximumSent
        decision.maximumReceived = rule.maximumReceived
        return decision
    }

    private func noRule(_ request: NetworkRequest) -> NetworkDecision {
        if let address = request.host.address, let refusal = addresses.refusal(of: address) {
            let rule = "an operator can add \"\(request.host.authority)\" to network.rules of the policy; "
            return NetworkDecision(
                .deny, rule: nil, reason: "no rule allows \(request.host.authority(port: request.port)), which is \(refusal.kind)",
                remedy: (AddressPolicy.canBeNamed(address) ? rule : "") + refusal.remedy)
        }
        if let near = rules.first(where: { rule in rule.verdict == .allow && rule.hosts.contains { $0.covers(request.host) } }) {
            return NetworkDecision(
                .deny, rule: nil, reason: "port \(request.port) of \(request.host) is not allowed",
                remedy: "an operator can add the port to rule \"\(near.id)\" of the policy")
        }
        return NetworkDecision(
            .deny, rule: nil, reason: "no rule allows \(request.host.authority(port: request.port))",
            remedy: "an operator can add \"\(request.host.authority)\" to network.rules of the policy")
    }

    /// Why the first rule that means the destination does not mean the request.
    private static func mismatch(
        _ rule: NetworkRule, _ request: NetworkRequest, _ content: NetworkRequest.Content
    ) -> NetworkDecision {
        let reason: String
        let remedy: String
        if rule.opaque, !content.encrypted {
            reason = "rule \"\(rule.id)\" allows TLS only"
            remedy = "use https"
        } else if !rule.methods.isEmpty, !rule.methods.contains(content.method) {
            reason = "method \(content.method) is not allowed at \(request.host)"
            remedy = "rule \"\(rule.id)\" allows \(rule.methods.joined(separator: ", "))"
        } else if !means(rule, content) {
            reason = "path \(printable(content.path)) is not allowed at \(request.host)"
            remedy = "rule \"\(rule.id)\" allows \(rule.paths.map(\.description).joined(separator: ", "))"
        } else if let header = content.foreignCredential {
            reason = "header \(header) carries a credential that is not the session's, and rule \"\(rule.id)\" allows its own only"
            remedy = "use the placeholder of \"\(rule.credential ?? "")\""
        } else {
            reason = "rule \"\(rule.id)\" allows requests with the credential \"\(rule.credential ?? "")\" only"
            remedy = "send its placeholder in the header that the policy names"
        }
        return NetworkDecision(.deny, rule: rule.id, reason: reason, remedy: remedy)
    }

    private static func text(_ request: NetworkRequest) -> String {
        let place = request.host.authority(port: request.port)
        return request.content.map { "\($0.method) \(printable($0.path)) at \(place)" } ?? place
    }
}
