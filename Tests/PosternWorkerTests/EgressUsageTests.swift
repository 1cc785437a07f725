import Foundation
import PosternAudit
import PosternEgress
import PosternGate
import PosternPolicy
import Testing

@testable import PosternWorker

/// What a session has sent, kept for its next proxy.
@Suite("Egress usage of a session")
struct EgressUsageTests {
    private func usage(_ book: ByteBook, _ session: String = "sesn_1", day: String = "2026-11-27") -> EgressUsage {
        EgressUsage(book: book, session: session, day: { day })
    }

    @Test("the next proxy begins with what was used of session, hosts and day; the next day with its own count")
    func goesOn() async throws {
        let book = ByteBook()
        let (one, other) = (try CanonicalHost("a.com"), try CanonicalHost("[fd00::1]"))
        try await usage(book).add(5, one)
        try await usage(book).add(7, other)
        try await usage(book, day: "2026-11-28").add(1, one)
        try await usage(book, "sesn_2").add(100, one)
        let used = usage(book, day: "2026-11-28").used
        #expect(used.session == 13 && used.day == 1 && used.hosts == [one: 6, other: 7] && used.otherHosts == 0)
        usage(book, day: "2026-11-28").forget()
        #expect(usage(book, day: "2026-11-28").used == BytesUsed() && usage(book, "sesn_2").used.session == 100)
    }

    @Test("made-up hosts share a count, and begin with it")
    func madeUp() async throws {
        let book = ByteBook()
        for index in 0..<300 { try await usage(book).add(1, try CanonicalHost("h\(index).a.com")) }
        let used = usage(book).used
        #expect(used.hosts.count == 256 && used.otherHosts == 44 && used.session == 300)
    }

    @Test("a worker that is killed leaves counts that are not too low")
    func killed() async throws {
        let path = NSTemporaryDirectory() + "postern-usage-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let host = try CanonicalHost("a.com")
        let book = try ByteBook(path: path)
        for _ in 0..<10 { try await usage(book).add(50_000, host) }
        // Nobody ends the first book.
        let used = usage(try ByteBook(path: path)).used
        for count in [used.session, used.day, used.hosts[host] ?? 0] { #expect((500_000...500_000 + ByteBook.margin).contains(count)) }
    }
}
