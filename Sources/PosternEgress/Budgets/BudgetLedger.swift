import PosternPolicy

/// Counts the bytes that leave a session and says when a budget is reached. A value without I/O.
struct BudgetLedger: Sendable {
    enum Kind: String, Sendable, Hashable, CaseIterable {
        case call, host, session, day
    }

    /// A budget that a call would exceed.
    struct Overrun: Error, Hashable, Sendable {
        var kind: Kind
        var host: CanonicalHost
        /// Bytes of the budget, approvals included, and those used of it.
        var limit: Int
        var used: Int
    }

    /// What one call has sent; its owner keeps it.
    struct Call: Hashable, Sendable {
        let host: CanonicalHost
        fileprivate(set) var sent = 0
        /// Granted on top of the budget for one call.
        fileprivate var extra = 0

        init(host: CanonicalHost) {
            self.host = host
        }
    }

    /// More hosts than this are counted together: names below a pattern can be made up without end.
    private static let mostHosts = 4096

    /// The present policy's; may shrink while the session runs.
    var budgets: ByteBudgets
    /// Bytes of the present day before this session's proxy counted.
    private var dayBefore: Int
    private(set) var session = 0
    private var today = 0
    private var hosts: [CanonicalHost: Int] = [:]
    private var otherHosts = 0
    private var extraHost: [CanonicalHost: Int] = [:]
    private var extraSession = 0
    private var extraDay = 0

    init(_ budgets: ByteBudgets, dayUsed: Int = 0) {
        self.budgets = budgets
        dayBefore = dayUsed
    }

    /// Counts `bytes` for `call`, or says which budget they would exceed; nothing is counted then.
    mutating func take(_ bytes: Int, _ call: inout Call) throws(Overrun) {
        try check(.call, budgets.call.map { $0 + call.extra }, call.sent, bytes, call.host)
        try check(.host, budgets.host.map { $0 + (extraHost[call.host] ?? 0) }, hosts[call.host] ?? (isFull ? otherHosts : 0), bytes, call.host)
        try check(.session, budgets.session.map { $0 + extraSession }, session, bytes, call.host)
        try check(.day, budgets.day.map { $0 + extraDay }, dayBefore + today, bytes, call.host)
        call.sent += bytes
        session += bytes
        today += bytes
        if hosts[call.host] != nil || !isFull { hosts[call.host, default: 0] += bytes } else { otherHosts += bytes }
    }

    private var isFull: Bool { hosts.count >= Self.mostHosts }

    private func check(_ kind: Kind, _ limit: Int?, _ used: Int, _ bytes: Int, _ host: CanonicalHost) throws(Overrun) {
        guard let limit, used + bytes > limit else { return }
        throw Overrun(kind: kind, host: host, limit: limit, used: used)
    }

    /// The perimeter has approved `bytes` more.
    mutating func grant(_ bytes: Int, for overrun: Overrun, _ call: inout Call) {
        switch overrun.kind {
        case .call: call.extra += bytes
        case .host: extraHost[overrun.host, default: 0] += bytes
        case .session: extraSession += bytes
        case .day: extraDay += bytes
        }
    }

    /// A new day has begun, or another process has used some of it.
    mutating func setDay(used: Int) {
        dayBefore = used
        today = 0
        extraDay = 0
    }
}
