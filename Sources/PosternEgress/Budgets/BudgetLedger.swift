import PosternPolicy

/// Counts the bytes that leave a session and says when a budget is reached. A value without I/O.
///
/// What the perimeter approves beyond a budget is credit: so many bytes of that budget, to one host. It is used up by bytes that the budget
/// has no room for, and by no others, so that an approval lets out exactly what it said.
struct BudgetLedger: Sendable {
    enum Kind: String, Sendable, Hashable, CaseIterable {
        case call, host, session, day
    }

    /// A budget that a call would exceed.
    struct Overrun: Error, Hashable, Sendable {
        var kind: Kind
        var host: CanonicalHost
        /// Bytes of the budget as the policy has it, and those used of it.
        var limit: Int
        var used: Int
    }

    /// What one call has sent; its owner keeps it.
    struct Call: Hashable, Sendable {
        let host: CanonicalHost
        fileprivate(set) var sent = 0
        /// Those of them that the budget of one call had room for.
        fileprivate var counted = 0

        init(host: CanonicalHost) {
            self.host = host
        }
    }

    /// What an approval is for.
    struct Account: Hashable, Sendable {
        var kind: Kind
        var host: CanonicalHost
    }

    /// More hosts than this are counted together: names below a pattern can be made up without end.
    private static let mostHosts = 4096

    /// The present policy's; may shrink while the session runs.
    var budgets: ByteBudgets
    /// Bytes of the present day, those before this session's proxy counted among them.
    private var today: Int
    private(set) var session = 0
    private var hosts: [CanonicalHost: Int] = [:]
    private var otherHosts = 0
    /// Hosts without a count of their own shared one before this proxy.
    private let sharesFromTheStart: Bool
    private var credits: [Account: Int] = [:]

    init(_ budgets: ByteBudgets, used: BytesUsed = BytesUsed()) {
        self.budgets = budgets
        (today, session, hosts, otherHosts) = (used.day, used.session, used.hosts, used.otherHosts)
        sharesFromTheStart = used.otherHosts > 0
    }

    /// Counts `bytes` for `call`, or says which budget they would exceed; nothing is counted then.
    mutating func take(_ bytes: Int, _ call: inout Call) throws(Overrun) {
        var excess: [Kind: Int] = [:]
        for kind in Kind.allCases {
            guard let limit = limit(kind) else { continue }
            let used = used(kind, call)
            let over = min(bytes, max(0, used + bytes - limit))
            guard over <= credits[Account(kind: kind, host: call.host)] ?? 0 else {
                throw Overrun(kind: kind, host: call.host, limit: limit, used: used)
            }
            excess[kind] = over
        }
        call.sent += bytes
        for kind in Kind.allCases {
            let over = excess[kind] ?? 0
            if over > 0 { credits[Account(kind: kind, host: call.host)]? -= over }
            count(bytes - over, kind, &call)
        }
    }

    /// Bytes of the budget as the policy in force has it; `nil` for none.
    func limit(_ kind: Kind) -> Int? {
        switch kind {
        case .call: budgets.call
        case .host: budgets.host
        case .session: budgets.session
        case .day: budgets.day
        }
    }

    private func used(_ kind: Kind, _ call: Call) -> Int {
        switch kind {
        case .call: call.counted
        case .host: hosts[call.host] ?? (isFull ? otherHosts : 0)
        case .session: session
        case .day: today
        }
    }

    private mutating func count(_ bytes: Int, _ kind: Kind, _ call: inout Call) {
        switch kind {
        case .call: call.counted += bytes
        case .host: if hosts[call.host] != nil || !isFull { hosts[call.host, default: 0] += bytes } else { otherHosts += bytes }
        case .session: session += bytes
        case .day: today += bytes
        }
    }

    private var isFull: Bool { sharesFromTheStart || hosts.count >= Self.mostHosts }

    /// The perimeter has approved `bytes` more. Never more at a time than the budget itself is by now.
    mutating func grant(_ bytes: Int, for account: Account) {
        credits[account, default: 0] += min(bytes, limit(account.kind) ?? bytes)
    }

    /// A new day has begun, or another process has used some of it.
    mutating func setDay(used: Int) {
        today = used
        credits = credits.filter { $0.key.kind != .day }
    }
}
