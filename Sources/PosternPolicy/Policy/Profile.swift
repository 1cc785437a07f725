/// What a policy starts from.
package enum Profile: String, Sendable, Hashable, CaseIterable {
    /// No network until rules name hosts, no host paths, credentials and agent configuration hidden or protected, small limits.
    case strict
    /// As `strict`, with room for compilers and package managers, and with the package registries that the operator names.
    case build
    /// As `strict`, and nothing can open the network: rules, registries, forwards and addresses are errors.
    case offline
}
