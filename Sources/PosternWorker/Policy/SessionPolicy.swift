import PosternPolicy
import PosternJSON

/// What one session may do: the perimeter's ceiling as far as environment and session ask for it. It only ever becomes narrower.
package struct SessionPolicy: Sendable, Hashable {
    /// The policy of the perimeter that was chosen for the session.
    package let ceiling: Policy
    /// What holds.
    package private(set) var policy: Policy
    package let ceilingDigest: String
    package private(set) var digest: String

    package init(ceiling: Policy) {
        self.ceiling = ceiling
        policy = ceiling
        ceilingDigest = ceiling.digest
        digest = ceilingDigest
    }

    /// Takes away what `fragment` does not ask for; whether that changed anything.
    @discardableResult
    package mutating func narrow(by fragment: PolicyFragment) -> Bool {
        let narrower = policy.narrowed(by: fragment)
        guard narrower != policy else { return false }
        policy = narrower
        digest = narrower.digest
        return true
    }
}

/// Chooses the policy of a session inside the perimeter. What comes from the control plane selects a ceiling and narrows it; nothing of it can
/// widen one.
package struct PolicyChooser: Sendable {
    private let policies: PolicySet
    private let environmentName: String?

    /// Without policies every session gets the profile `strict`.
    /// - Parameter environmentName: What the operator calls this worker's environment. Never what the control plane calls it: who may name an
    ///   environment there would choose its ceiling here.
    package init(_ policies: PolicySet = PolicySet(), environmentName: String? = nil) {
        self.policies = policies
        self.environmentName = environmentName
    }

    /// Of all ceilings together.
    package var digest: String { policies.digest }

    /// - Parameters:
    ///   - session: As the API gives it.
    ///   - environment: The environment's own wish (`postern.policy` of its metadata), as the poll's answer carried it.
    /// - Throws: when a wish cannot be read. Then the session must not run: to go on without it would be to allow more than was asked for.
    package func policy(for session: JSONObject, environmentID: String, environment: String?) throws(PolicyProblems) -> SessionPolicy {
        var chosen = SessionPolicy(ceiling: policies.ceiling(for: subject(session, environmentID)).policy)
        if let environment { chosen.narrow(by: try PolicyFragment(environment, source: "environment \(environmentID)")) }
        if let fragment = try Self.fragment(of: session) { chosen.narrow(by: fragment) }
        return chosen
    }

    /// What the session's own metadata asks for; `nil` for nothing.
    static func fragment(of session: JSONObject) throws(PolicyProblems) -> PolicyFragment? {
        guard let text = session["metadata"]?[PolicyFragment.metadataKey]?.string else { return nil }
        return try PolicyFragment(text, source: "session \(session["id"]?.string ?? "")")
    }

    private func subject(_ session: JSONObject, _ environmentID: String) -> PolicySubject {
        let agent = session["agent"]
        return PolicySubject(
            environmentID: environmentID, environmentName: environmentName, agentID: agent?["id"]?.string ?? "", agentName: agent?["name"]?.string)
    }
}
