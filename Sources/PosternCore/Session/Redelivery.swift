import PosternJSON

/// What becomes of a call that a lost worker may have run.
package enum Redelivery: String, Sendable {
    /// Answered with "outcome unknown"; only tools that change nothing are offered again.
    case atMostOnce = "at_most_once"
    /// Offered again, as the reference does.
    case atLeastOnce = "at_least_once"
}

extension EnvironmentRecord {
    /// The environment's choice, from its metadata.
    package var redelivery: Redelivery {
        body["metadata"]?[PosternMetadata.redelivery]?.string.flatMap(Redelivery.init(rawValue:)) ?? .atMostOnce
    }
}
