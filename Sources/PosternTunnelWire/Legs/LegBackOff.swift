/// How long a connector waits before it dials a leg again: doubled with each failure, with jitter, so that connectors that lost one edge do
/// not come back all at once.
package struct LegBackOff: Sendable, Hashable {
    /// Seconds.
    package static let first = 0.2
    package static let longest = 15.0
    /// After a refusal that only somebody's doing can change.
    package static let refused = 60.0
    private var failures = 0

    package init() {}

    /// A leg has stood: the next one is dialled at once.
    package mutating func succeeded() { failures = 0 }

    /// Seconds before the next try. `chance` is from 0 to 1: the wait lies between half of the full one and all of it.
    package mutating func next(after refusal: LegRefusal? = nil, chance: Double) -> Double {
        let half = 0.5 + min(max(chance, 0), 1) / 2
        if let refusal, !refusal.isTemporary { return Self.refused * half }
        defer { failures = min(failures + 1, 16) }
        return min(Self.first * Double(1 << failures), Self.longest) * half
    }
}
