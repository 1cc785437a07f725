import Testing

@testable import PosternCommands

/// Whom a worker goes on as, by its setting and the machine's accounts.
@Suite struct WorkerUserTests {
    private static let accounts = WorkerUser.Accounts(
        named: { name in all.first { $0.name == name } }, numbered: { number in all.first { $0.number == number } },
        groups: { account in account.name == "docker" ? [account.group, 998] : account.name == "wheel" ? [account.group, 0] : [account.group] })
    private static let all = [
        WorkerUser.Account(name: "root", number: 0, group: 0, home: "/root"), .init(name: "toor", number: 0, group: 7, home: "/root"),
        .init(name: "docker", number: 700, group: 701, home: "/srv"), .init(name: "wheel", number: 702, group: 702, home: "/"),
        .init(name: "near", number: 703, group: 0, home: "/"), .init(name: "guest", number: 210_005, group: 210_005, home: "/"),
    ]
    private static let usual = WorkerUser.Account(name: "postern", number: 650, group: 651, home: "/var/lib/postern")

    private func chosen(_ text: String?, own: UInt32 = 0) throws(ConfigurationError) -> WorkerUser? {
        try WorkerUser.chosen(text, own: own, Self.accounts)
    }

    @Test func rootGoesOnAsSomebodyElse() throws {
        #expect(try chosen(nil) == WorkerUser(number: 230_000, group: 230_000))
        var accounts = Self.accounts
        accounts.named = { $0 == "postern" ? Self.usual : nil }
        #expect(try WorkerUser.chosen(nil, own: 0, accounts) == WorkerUser(number: 650, group: 651, account: Self.usual))
        #expect(try chosen("4000") == WorkerUser(number: 4000, group: 4000))
        let docker = try #require(try chosen("docker"))
        #expect((docker.number, docker.group) == (700, 701) && docker.groups == [998] && docker.variables["HOME"] == "/srv")
        #expect(try chosen("700") == docker)
    }

    @Test func rootStaysOnlyWhereItIsSaid() throws {
        for text in ["root", "0", "toor"] { #expect(try chosen(text) == nil, "\(text)") }
    }

    @Test(arguments: ["nobody-here", "-1", "", "210000", "229999", "guest", "wheel", "near", "4294967295"]) func others(text: String) {
        let error = #expect(throws: ConfigurationError.self) { _ = try chosen(text) }
        #expect(error?.description.hasPrefix("user: ") == true)
    }

    @Test func whoIsNotRootStaysWhoItIs() throws {
        #expect(try chosen(nil, own: 700) == nil && chosen("700", own: 700) == nil && chosen("docker", own: 700) == nil)
        for text in ["root", "701", "nobody-here"] { #expect(throws: ConfigurationError.self) { _ = try chosen(text, own: 700) } }
    }
}
