import PosternSandbox

/// The numbers of users that sessions and their proxies get.
struct UserRange: Sendable, Equatable {
    var numbers: ClosedRange<UInt32>

    /// Those of sessions, and as many behind them for proxies: see the spawner's options.
    static var sessions: UserRange {
        let users = Spawner.Configuration().users
        return UserRange(numbers: users.lowerBound...(users.upperBound + 10_000))
    }

    /// With the one behind them, which a worker that was started as root goes on as.
    static var reserved: UserRange { UserRange(numbers: sessions.numbers.lowerBound...WorkerUser.usualNumber) }

    var text: String { "\(numbers.lowerBound) to \(numbers.upperBound)" }

    /// Who else has numbers of the range: accounts of passwd(5), and ranges of subuid(5).
    func conflicts(passwd: String, subordinate: String) -> [String] {
        func fields(_ text: String) -> [[Substring]] {
            text.split(separator: "\n").map { $0.split(separator: ":", omittingEmptySubsequences: false) }
        }
        let accounts = fields(passwd).compactMap { fields -> String? in
            guard fields.count >= 3, let number = UInt32(fields[2]), numbers.contains(number) else { return nil }
            return "the account \(Terminal.visible(String(fields[0]))) (\(number))"
        }
        let ranges = fields(subordinate).compactMap { fields -> String? in
            guard fields.count == 3, let first = UInt64(fields[1]), let count = UInt64(fields[2]), count > 0 else { return nil }
            let (end, overflow) = first.addingReportingOverflow(count - 1)
            guard first <= UInt64(numbers.upperBound), overflow || end >= UInt64(numbers.lowerBound) else { return nil }
            return "/etc/subuid of \(Terminal.visible(String(fields[0]))) (\(first), \(count) numbers)"
        }
        return accounts + ranges
    }
}
