import PosternGate

/// What may come back from a route's upstream: bytes, and what is looked for in them. Values of injected headers are always looked for.
package struct RouteAnswers: Hashable, Sendable {
    /// In one answer; the strictest bound decides.
    package var bytesPerCall: Int?
    /// To one caller, as its certificate names it, for as long as it is counted.
    package var bytesPerSession: Int?
    /// To all callers of the route, in one day of UTC.
    package var bytesPerDay: Int?
    /// By detector.
    package var redact: [RedactionDetector: RedactionAction] = [:]

    package static let bytes = 1_024...(1 << 50)

    package init() {}

    var isCounted: Bool { bytesPerSession != nil || bytesPerDay != nil }

    /// Whether something passes under `other` that does not pass here.
    func isNarrower(than other: RouteAnswers) -> Bool {
        redact.contains { detector, action in action > other.redact[detector] ?? .allow }
    }
}
