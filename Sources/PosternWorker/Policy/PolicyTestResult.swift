/// What the self-test has found in a sandbox of one policy.
package enum PolicyTestResult: Sendable, Hashable {
    /// Every boundary holds; these layers and limits are not fully in force.
    case holds(layersOff: [String])
    /// A boundary does not hold, or no sandbox could be started: no session of the policy is run.
    case fails(reason: String)
}
