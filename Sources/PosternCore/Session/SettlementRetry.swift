/// What becomes of inputs whose settlement the store did not take: the count of refusals in a row, and what follows from the next.
struct SettlementRetry: Sendable {
    enum Verdict: Sendable, Equatable {
        /// Somebody else wrote first: read what they wrote and decide again, at once.
        case again
        /// The store cannot be written at the moment. Senders are told; what the engine itself has to store waits.
        case later
        /// It will not be taken however often it is tried.
        case refused
    }

    /// Conflicts in a row that another writer explains. After that the store and its own guards do not agree.
    static let maximumConflicts = 20

    private var conflicts = 0
    /// Failures in a row; the first of them is worth a line in the log.
    private(set) var failures = 0

    mutating func succeeded() { self = SettlementRetry() }

    mutating func failed(_ error: StoreError) -> Verdict {
        if case .conflict = error {
            conflicts += 1
            if conflicts <= Self.maximumConflicts { return .again }
        }
        conflicts = 0
        failures += 1
        return if case .unavailable = error { .later } else { .refused }
    }
}
