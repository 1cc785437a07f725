/// Connectors' keys through whose legs inner handshakes fail: somebody holds them who is not who the callers mean, as one does who has enrolled a key with
/// a stolen token. Their legs are passed over for a time, as long as there are others. A value; times are seconds on one clock.
struct DoubtedKeys: Sendable {
    /// Failures in a row after which a key is doubted.
    static let patience = 2
    /// Seconds for the first time, and at most; each failure after that doubles it.
    static let first = 30.0
    static let longest = 600.0

    private struct Doubt {
        var failures = 0
        var until = 0.0
        var length = first
    }
    private var doubts: [String: Doubt] = [:]

    /// A caller did not believe who answered, or nobody did. Says whether the key is doubted from now on.
    mutating func failed(_ key: String, now: Double) -> Bool {
        var doubt = doubts[key] ?? Doubt()
        doubt.failures += 1
        defer { doubts[key] = doubt }
        // Calls that were under way when it became doubted say nothing new.
        guard doubt.failures >= Self.patience, doubt.until <= now else { return false }
        doubt.until = now + doubt.length
        doubt.length = min(doubt.length * 2, Self.longest)
        return true
    }

    /// A caller has believed who answered.
    mutating func proved(_ key: String) { doubts[key] = nil }

    func isDoubted(_ key: String, now: Double) -> Bool { doubts[key].map { now < $0.until } ?? false }

    /// Forgets keys that count no more.
    mutating func keep(_ keys: Set<String>) { doubts = doubts.filter { keys.contains($0.key) } }
}
