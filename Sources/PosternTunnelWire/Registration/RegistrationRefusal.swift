/// Why calls are refused, for answers, logs and records.
package struct RegistrationRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: String, Hashable, Sendable, CaseIterable {
        case fork = "registration_fork"
        case rules = "registration_rules"
        case unproven = "registration_unproven"
        case stale = "registration_stale"
        case unknownAuthority = "unknown_authority"
        case unknownConnectorKey = "unknown_connector_key"
        case authorityArchived = "authority_archived"
    }

    package var reason: Reason
    package var description: String

    package init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }
}
