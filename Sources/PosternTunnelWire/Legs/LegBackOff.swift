/// How long a connector waits before it dials a leg again: doubled with each failure, with jitter, so that connectors that lost one edge do
/// not come back all at once.
package struct LegBackOff: Sendable, Hashable {
    /// Seconds.
    package static let first = 0.2
    package static let longest = 15.0
    /// Where nothing answers: nobody is asked to work for such a try, and a network that comes back should be noticed at once.
    package static let longestUnanswered = 2.0
    /// After a leg that stood and was cut soon: the edge takes legs, and calls wait at it for the next one.
    package static let longestCut = 1.0
    /// After a refusal that only somebody's doing can change.
    package static let refused = 60.0
    private var failures = 0

    package init() {}

    /// A leg has stood: the next one is dialled at once.
    package mutating func succeeded() { failures = 0 }

    /// Seconds before the next try after a leg that stood, but not for long. What failed before it stood counts little from now on.
    package mutating func cut(chance: Double) -> Double {
        failures = min(failures, 2)
        defer { failures += 1 }
        return min(Self.first * Double(1 << failures), Self.longestCut) * Self.share(chance)
    }

    /// Seconds before the next try. `chance` is from 0 to 1: the wait lies between half of the full one and all of it.
    /// - Parameter isUnanswered: whether there was nobody to ask, rather than somebody who said no or broke off.
    package mutating func next(after refusal: LegRefusal? = nil, isUnanswered: Bool = false, chance: Double) -> Double {
        let half = Self.share(chance)
        if let refusal, !refusal.isTemporary { return Self.refused * half }
        defer { failures = min(failures + 1, 16) }
        return min(Self.first * Double(1 << failures), isUnanswered ? Self.longestUnanswered : Self.longest) * half
    }

    private static func share(_ chance: Double) -> Double { 0.5 + min(max(chance, 0), 1) / 2 }
}
