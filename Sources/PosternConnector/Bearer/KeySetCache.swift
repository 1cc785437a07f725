/// What is known of an issuer's keys, and when they are asked for again. A value without I/O; times are seconds of a clock that never goes back.
struct KeySetCache: Sendable {
    /// Keys are asked for again after that.
    static let fresh = 600.0
    /// Keys that could not be asked for again count for so long: an issuer that cannot be reached can take no key back either.
    static let stale = 3600.0
    /// Between two questions, whoever makes up key ids.
    static let pause = 30.0

    private var keys: KeySet?
    private var fetched = 0.0
    private var tried: Double?
    private(set) var isFetching = false
    private var problem = "they were not asked for yet"

    enum Answer: Sendable {
        case known(KeySet)
        /// Keys are asked for, or may be now: the answer comes after that.
        case wait
        /// The set is there, and has no such key.
        case unknown
        case none(String)
    }

    /// What is known of the key `id`.
    func ask(_ id: String, now: Double) -> Answer {
        let held = now - fetched < Self.stale ? keys : nil
        if let held, held.knows(id) { return .known(held) }
        if isFetching || mayFetch(now) { return .wait }
        return held == nil ? .none(problem) : .unknown
    }

    private func mayFetch(_ now: Double) -> Bool { tried.map { now - $0 >= Self.pause } ?? true }

    /// Whether to ask the issuer now; then `ended` says what came of it.
    mutating func begin(now: Double) -> Bool {
        guard !isFetching, mayFetch(now) else { return false }
        isFetching = true
        tried = now
        return true
    }

    mutating func ended(_ result: Result<KeySet, KeySetProblem>, now: Double) {
        isFetching = false
        switch result {
        case .success(let set):
            keys = set
            fetched = now
        case .failure(let failure): problem = failure.description
        }
    }

    /// Seconds until they are asked for again by themselves.
    func untilNext(now: Double) -> Double {
        let due = max(keys == nil ? now : fetched + Self.fresh, (tried ?? now) + Self.pause)
        return max(0.1, due - now)
    }

    /// The set as it is known now, for what was let in by it.
    func current(now: Double) -> KeySet? { now - fetched < Self.stale ? keys : nil }
}

/// Why an issuer's keys did not come.
struct KeySetProblem: Error, Hashable, Sendable, CustomStringConvertible {
    var description: String
}
