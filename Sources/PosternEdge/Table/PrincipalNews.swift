import PosternTunnelWire

/// What an edge has heard of principals: whose credentials have ended, and about whom it has asked a moment ago. A value; times are seconds on one
/// clock.
struct PrincipalNews: Sendable {
    /// No runtime certificate lasts longer than what is remembered of who asked for it, seconds.
    static let memory = RuntimeCertificate.longestLife
    /// An answer is as good as a new one for so long, seconds.
    static let fresh = 1.0

    /// Principals that are remembered as ended. Beyond them the oldest are forgotten: who calls is asked about anew.
    private let most: Int
    private var ended: [String: Double] = [:]
    private var asked: [String: Double] = [:]

    init(most: Int = 65_536) { self.most = most }

    /// The control plane has answered a question that was asked at `asked`.
    mutating func heard(of principals: [String], ended: Set<String>, asked time: Double, now: Double) {
        for principal in principals { asked[principal] = max(time, asked[principal] ?? time) }
        for principal in ended { self.ended[principal] = now }
        if asked.count > most { asked = asked.filter { now - $0.value < Self.fresh } }
        guard self.ended.count > most else { return }
        // Half at once, so that it is not done again for every one that comes.
        let newest = self.ended.sorted { $0.value > $1.value }.prefix(most / 2)
        self.ended = Dictionary(uniqueKeysWithValues: newest.map { ($0.key, $0.value) })
    }

    /// The control plane has taken a credential of the principal's, when it was asked at `asked`: what was heard before that is old.
    mutating func authorized(_ principal: String, asked time: Double) {
        if let end = ended[principal], end < time { ended[principal] = nil }
    }

    func hasEnded(_ principal: String, now: Double) -> Bool { ended[principal].map { now - $0 < Self.memory } ?? false }

    /// Whether what is known of the principal is too old to let a call of its begin.
    func isStale(_ principal: String, now: Double) -> Bool { asked[principal].map { now - $0 >= Self.fresh } ?? true }
}
