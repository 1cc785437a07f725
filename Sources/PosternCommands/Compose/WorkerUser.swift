#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Whom a worker that is started as root goes on as, once its spawner runs.
struct WorkerUser: Sendable, Equatable {
    var number: UInt32
    var group: UInt32
    /// Further groups of an account; none of a bare number.
    var groups: [UInt32] = []
    /// What an account says of itself; a bare number has none.
    var account: Account?

    /// One line of passwd(5).
    struct Account: Sendable, Equatable {
        var name: String
        var number: UInt32
        var group: UInt32
        var home: String
    }

    /// The account that is taken where none is named.
    static let usualAccount = "postern"
    /// The number that is taken where there is no such account: the one behind those of sessions and proxies.
    static let usualNumber = UserRange.sessions.numbers.upperBound + 1

    /// Looks accounts up; for tests something else than this machine's.
    struct Accounts: Sendable {
        var named: @Sendable (String) -> Account?
        var numbered: @Sendable (UInt32) -> Account?
        var groups: @Sendable (Account) -> [UInt32]
    }

    /// - Parameters:
    ///   - text: the setting `user`.
    ///   - own: whom this process runs as.
    /// - Returns: `nil` where the worker stays who it is.
    static func chosen(_ text: String?, own: UInt32, _ accounts: Accounts = .machine) throws(ConfigurationError) -> WorkerUser? {
        guard own == 0 else {
            guard let text else { return nil }
            guard UInt32(text) ?? accounts.named(text)?.number == own else {
                throw ConfigurationError(
                    "user: only root can go on as somebody else, and this is user \(own); leave it out, or start the worker as root")
            }
            return nil
        }
        guard let text else { return try checked(accounts.named(usualAccount).map { of($0, accounts) } ?? of(usualNumber, accounts)) }
        if let number = UInt32(text) { return number == 0 ? nil : try checked(of(number, accounts)) }
        guard let account = accounts.named(text) else {
            throw ConfigurationError("user: there is no account '\(text)' here; name another, give a number, or make it: useradd --system \(text)")
        }
        return account.number == 0 ? nil : try checked(of(account, accounts))
    }

    private static func of(_ number: UInt32, _ accounts: Accounts) -> WorkerUser {
        accounts.numbered(number).map { of($0, accounts) } ?? WorkerUser(number: number, group: number)
    }

    private static func of(_ account: Account, _ accounts: Accounts) -> WorkerUser {
        WorkerUser(
            number: account.number, group: account.group, groups: accounts.groups(account).filter { $0 != account.group }.sorted(), account: account)
    }

    private static func checked(_ user: WorkerUser) throws(ConfigurationError) -> WorkerUser {
        guard !UserRange.sessions.numbers.contains(user.number) else {
            throw ConfigurationError(
                "user: \(user.number) is one of the numbers of sessions and their proxies (\(UserRange.sessions.text)); take another")
        }
        guard user.number != .max, user.group != .max else { throw ConfigurationError("user: \(user.number) is no user; take another number") }
        guard user.group != 0, !user.groups.contains(0) else {
            throw ConfigurationError(
                "user: \(user.account?.name ?? "\(user.number)") is in the group of root (0), which is as good as root; take another")
        }
        return user
    }

    /// The variables of an account that other programs go by.
    var variables: [String: String] { account.map { ["HOME": $0.home, "USER": $0.name, "LOGNAME": $0.name] } ?? [:] }
}

extension WorkerUser.Accounts {
    /// Those of this machine. Blocking, and for the start of a process: the calls below share their answers between threads.
    static let machine = WorkerUser.Accounts(
        named: { name in getpwnam(name).flatMap { WorkerUser.Account($0.pointee) } },
        numbered: { number in getpwuid(number).flatMap { WorkerUser.Account($0.pointee) } },
        groups: { account in
            #if canImport(Glibc)
            var count: Int32 = 256
            var groups = [gid_t](repeating: 0, count: Int(count))
            guard getgrouplist(account.name, account.group, &groups, &count) >= 0 else { return [] }
            return Array(groups.prefix(Int(count)))
            #else
            return []
            #endif
        })
}

extension WorkerUser.Account {
    fileprivate init?(_ entry: passwd) {
        guard let name = entry.pw_name else { return nil }
        self.init(
            name: String(cString: name), number: entry.pw_uid, group: entry.pw_gid, home: entry.pw_dir.map { String(cString: $0) } ?? "/")
    }
}
