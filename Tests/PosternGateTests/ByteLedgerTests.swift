import PosternAudit
import PosternGate
import PosternJSON
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite struct ByteLedgerTests {
    private let limits = ByteLimits(perEvent: 100, perSession: 250, perDay: 400, perHost: ["a.example": 120])

    private func charge(_ bytes: Int, _ session: String = "s1", host: String? = nil, day: String = "2026-11-26") -> ByteCharge {
        ByteCharge(bytes: bytes, session: session, host: host, day: day)
    }

    @Test func eachBoundHolds() {
        var ledger = ByteLedger()
        #expect(ledger.charge(charge(101), limits)?.scope == .event)
        #expect(ledger.charge(charge(100), limits) == nil && ledger.charge(charge(100), limits) == nil)
        let refusal = ledger.charge(charge(51), limits)
        #expect(refusal?.scope == .session && refusal?.limit == 250 && refusal?.used == 200 && refusal?.wanted == 51)
        #expect(ledger.charge(charge(50), limits) == nil)
        #expect(ledger.charge(charge(100, "s2"), limits) == nil)
        #expect(ledger.charge(charge(51, "s3"), limits)?.scope == .day)
        #expect(ledger.dayBytes == 350 && ledger.sessions["s3"] == nil)
        #expect(ledger.charge(charge(100, "s3", day: "2026-11-27"), limits) == nil)
        // A clock that is set back gives nothing back.
        #expect(ledger.charge(charge(100, "s4", day: "2026-11-26"), limits) == nil && ledger.dayBytes == 200)
    }

    @Test func aHostsBoundHolds() {
        var ledger = ByteLedger()
        #expect(ledger.charge(charge(80, host: "a.example"), limits) == nil)
        let refusal = ledger.charge(charge(41, host: "a.example"), limits)
        #expect(refusal?.scope == .host && refusal?.description.contains("a.example") == true)
        #expect(ledger.charge(charge(41, host: "b.example"), limits) == nil)
    }

    @Test func madeUpHostsTakeNoMemoryAndNoNamedHostsPlace() {
        var ledger = ByteLedger()
        let limits = ByteLimits(perHost: ["late.example": 10])
        for index in 0..<2_000 { _ = ledger.charge(charge(1, host: "h\(index).example"), limits) }
        #expect((ledger.sessions["s1"]?.byHost.count ?? 0) <= ByteLedger.mostHosts + 1)
        #expect(ledger.charge(charge(10, host: "late.example"), limits) == nil)
        #expect(ledger.charge(charge(1, host: "late.example"), limits)?.scope == .host)
    }

    @Test func numbersThatOverflowAreRefused() {
        var ledger = ByteLedger()
        ledger.add(charge(.max))
        ledger.add(charge(.max))
        #expect(ledger.charge(charge(1), ByteLimits(perSession: .max)) == nil)
        #expect(ledger.charge(charge(.max, "s2"), ByteLimits(perDay: .max - 1))?.scope == .day)
        #expect(ledger.charge(charge(-5), ByteLimits()) == nil && ledger.sessions["s1"]?.bytes == .max)
    }

    @Test func theJSONFormComesBack() throws {
        var ledger = ByteLedger()
        ledger.add(charge(7, host: "a.example"))
        ledger.add(charge(9, "s2"))
        #expect(ByteLedger(json: try JSON(parsing: ledger.json.encoded)) == ledger)
        for broken: JSON in [
            [:], ["v": 2], ["v": 1, "day": "", "bytes": -1, "sessions": [:]], ["v": 1, "day": "", "bytes": 1, "sessions": ["s": 1]],
        ] {
            #expect(ByteLedger(json: broken) == nil)
        }
    }

    private func withFile(_ body: (String) async throws -> Void) async throws {
        var template = Array("/tmp/postern-book-XXXXXX".utf8CString)
        let made = mkdtemp(&template) != nil
        try #require(made)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            unlink("\(folder)/book")
            rmdir(folder)
        }
        try await body("\(folder)/book")
    }

    /// Killed at any moment: a book that is opened again has counted at least what had left, and at most a margin more.
    @Test func aKillNeverGivesBytesBack() async throws {
        try await withFile { path in
            var sent = 0
            for _ in 0..<20 {
                let book = try ByteBook(path: path)
                #expect(book.bytes(session: "s1") >= sent && book.bytes(session: "s1") <= sent + 20 * ByteBook.margin)
                sent = book.bytes(session: "s1")
                for _ in 0..<5 {
                    #expect(try await book.charge(charge(100_000), ByteLimits(perSession: 1 << 40)) == nil)
                    sent += 100_000
                }
            }
        }
    }

    @Test func anOrderlyEndKeepsTheExactCount() async throws {
        try await withFile { path in
            let book = try ByteBook(path: path)
            _ = try await book.charge(charge(10), limits)
            try await book.finish()
            let again = try ByteBook(path: path)
            #expect(again.bytes(session: "s1") == 10)
            #expect(try await again.charge(charge(100), limits) == nil && again.bytes(session: "s1") == 110)
            #expect(try ByteBook(path: path, keptFrom: "2026-12-24").bytes(session: "s1") == 0)
        }
    }

    @Test func aDamagedFileIsNoFreshStart() async throws {
        try await withFile { path in
            try SmallFile.write(Array("{}".utf8), to: path)
            #expect(throws: FileError.self) { try ByteBook(path: path) }
        }
    }
}
