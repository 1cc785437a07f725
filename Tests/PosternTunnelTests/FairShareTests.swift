import NIOCore
import Testing

@testable import PosternEdge

/// Who may have how much of an edge: the rules alone.
@Suite("Shares of an edge")
struct FairShareTests {
    private func limits(_ change: (inout EdgeShareLimits) -> Void) -> EdgeShareLimits {
        var limits = EdgeShareLimits()
        change(&limits)
        return limits
    }

    @Test("an address has so many connections, and fewer that have shown nothing, until it gives them back or says who it is")
    func addresses() {
        var shares = FairShares(
            limits {
                $0.connections = 6
                $0.connectionsPerAddress = 3
                $0.handshakesPerAddress = 2
            })
        #expect(shares.entered("a") == nil && shares.entered("a") == nil)
        #expect(shares.entered("a") == .handshakes)
        #expect(shares.entered("b") == nil, "another address has its own")
        shares.shown("a")
        shares.shown("a")
        #expect(shares.entered("a") == nil)
        #expect(shares.entered("a") == .address)
        // One that has shown who it is counts for its address no more, but for the edge.
        shares.named("a")
        #expect(shares.entered("a") == nil)
        shares.left("a", wasShown: false, wasNamed: false)
        shares.left("a", wasShown: true, wasNamed: true)
        #expect(shares.entered("a") == nil)
        #expect(shares.entered("c") == nil && shares.entered("d") == nil)
        #expect(shares.entered("e") == .edge)
    }

    @Test("what is given back is all there again", arguments: [(true, true), (true, false), (false, false)])
    func balance(wasShown: Bool, wasNamed: Bool) {
        var shares = FairShares(
            limits {
                $0.connections = 1
                $0.connectionsPerAddress = 1
                $0.handshakesPerAddress = 1
            })
        for _ in 0..<3 {
            #expect(shares.entered("a") == nil)
            if wasShown { shares.shown("a") }
            if wasNamed { shares.named("a") }
            shares.left("a", wasShown: wasShown, wasNamed: wasNamed)
        }
    }

    @Test("a caller, a tunnel and a workspace have so many calls at once, and none takes another's")
    func calls() {
        var shares = FairShares(
            limits {
                $0.connections = 12
                $0.callsPerCaller = 2
                $0.callsPerTunnel = 4
            })
        func begin(_ tunnel: String, _ workspace: String, _ caller: String) -> ShareRefusal? {
            shares.began(tunnel: tunnel, workspace: workspace, caller: caller, now: 0)
        }
        #expect(begin("t1", "w1", "a") == nil && begin("t1", "w1", "a") == nil)
        #expect(begin("t1", "w1", "a") == .caller)
        #expect(begin("t2", "w1", "a") == nil, "of another tunnel")
        #expect(begin("t1", "w1", "b") == nil && begin("t1", "w1", "c") == nil)
        #expect(begin("t1", "w1", "d") == .tunnel)
        #expect(begin("t3", "w1", "a") == nil)
        // Half of the edge.
        #expect(begin("t4", "w1", "a") == .workspace)
        #expect(begin("t5", "w2", "a") == nil)
        shares.ended(tunnel: "t1", workspace: "w1", caller: "a")
        #expect(begin("t4", "w1", "a") == nil)
    }

    @Test("new calls and bytes of a tunnel come so many a second, over a burst")
    func rates() {
        var shares = FairShares(
            limits {
                $0.callsPerSecond = 2
                $0.bytesPerSecond = 1000
            })
        func begin(_ now: Double) -> ShareRefusal? { shares.began(tunnel: "t", workspace: "w", caller: "c", now: now) }
        for _ in 0..<4 { #expect(begin(0) == nil) }
        #expect(begin(0) == .rate && begin(0.4) == .rate)
        #expect(begin(0.5) == nil && begin(0.5) == .rate)
        #expect(shares.passed(1000, tunnel: "t", now: 10) == 0)
        #expect(shares.passed(500, tunnel: "t", now: 10) == 0.5)
        #expect(shares.passed(0, tunnel: "t", now: 11) == 0)
        #expect(shares.passed(1 << 30, tunnel: "other", now: 11) == 0)
    }

    @Test("spliced calls leave half of a tunnel's calls and of its rate to callers who have shown who they are")
    func splices() {
        var places = FairShares(limits { $0.callsPerTunnel = 4 })
        var rates = FairShares(limits { $0.callsPerSecond = 2 })
        func begin(_ shares: inout FairShares, _ caller: String, _ isSplice: Bool) -> ShareRefusal? {
            shares.began(tunnel: "t", workspace: "w", caller: caller, isSplice: isSplice, now: 0)
        }
        for address in ["1", "2"] { #expect(begin(&places, address, true) == nil) }
        #expect(begin(&places, "3", true) == .tunnel)
        for _ in 0..<2 { #expect(begin(&places, "key", false) == nil) }
        #expect(begin(&places, "key", false) == .tunnel)
        places.ended(tunnel: "t", workspace: "w", caller: "key")
        #expect(begin(&places, "3", true) == .tunnel)
        places.ended(tunnel: "t", workspace: "w", caller: "1", isSplice: true)
        #expect(begin(&places, "3", true) == nil)
        for address in ["1", "2"] { #expect(begin(&rates, address, true) == nil) }
        for _ in 0..<10 { #expect(begin(&rates, "3", true) == .rate) }
        for _ in 0..<2 { #expect(begin(&rates, "key", false) == nil) }
        #expect(begin(&rates, "key", false) == .rate)
    }

    @Test("an address has so many spliced calls that have proved nothing, through all tunnels together")
    func unproved() {
        var shares = FairShares(limits { $0.unprovedPerAddress = 2 })
        func begin(_ tunnel: String, _ caller: String, isSplice: Bool = true) -> ShareRefusal? {
            shares.began(tunnel: tunnel, workspace: "w", caller: caller, isSplice: isSplice, now: 0)
        }
        #expect(begin("t1", "a") == nil && begin("t2", "a") == nil)
        #expect(begin("t3", "a") == .unproved && begin("t1", "a") == .unproved)
        #expect(begin("t1", "b") == nil && begin("t1", "key", isSplice: false) == nil)
        shares.proved("a")
        #expect(begin("t3", "a") == nil && begin("t3", "a") == .unproved)
    }

    @Test("ends are remembered for as long as a certificate can last, answers for a second, and a new credential counts")
    func news() {
        var news = PrincipalNews(most: 4)
        #expect(news.isStale("a", now: 0) && !news.hasEnded("a", now: 0))
        news.heard(of: ["a", "b"], ended: ["b"], asked: 10, now: 12)
        #expect(!news.isStale("a", now: 10.9) && news.isStale("a", now: 11))
        // An answer that was on its way longer is no newer.
        news.heard(of: ["a"], ended: [], asked: 9, now: 12)
        #expect(!news.isStale("a", now: 10.9))
        #expect(news.hasEnded("b", now: 12 + PrincipalNews.memory - 1))
        news.authorized("b", asked: 11)
        #expect(news.hasEnded("b", now: 13), "it ended after that was asked")
        news.authorized("b", asked: 13)
        #expect(!news.hasEnded("b", now: 13))
        for time in 20..<25 { news.heard(of: ["\(time)"], ended: ["\(time)"], asked: Double(time), now: Double(time)) }
        #expect(!news.hasEnded("20", now: 25) && news.hasEnded("24", now: 25) && news.hasEnded("23", now: 25))
        #expect(!news.hasEnded("24", now: 24 + PrincipalNews.memory))
    }

    @Test("addresses of IPv6 count by /64, and IPv4 in IPv6 as IPv4")
    func names() throws {
        func name(_ text: String) throws -> String { Admission.name(try SocketAddress(ipAddress: text, port: 1)) }
        #expect(try name("2001:db8:0:1::1") == name("2001:db8:0:1:ffff::9"))
        #expect(try name("2001:db8:0:1::1") != name("2001:db8:0:2::1"))
        #expect(try name("::ffff:10.0.0.1") != name("::ffff:10.0.0.2"))
        #expect(try name("10.0.0.1") != name("10.0.0.2"))
    }

    @Test("a key is doubted after two failures in a row, longer each time, until somebody believes it")
    func doubts() {
        var keys = DoubtedKeys()
        func failed(_ now: Double) -> Bool { keys.failed("k", now: now) }
        #expect(!failed(0) && !keys.isDoubted("k", now: 0))
        keys.proved("k")
        #expect(!failed(1))
        #expect(failed(2))
        #expect(keys.isDoubted("k", now: 31.9) && !keys.isDoubted("k", now: 32) && !keys.isDoubted("other", now: 3))
        // Calls that were on their way are no news.
        #expect(!failed(3))
        #expect(failed(40) && keys.isDoubted("k", now: 99) && !keys.isDoubted("k", now: 100))
        var time = 100.0
        for _ in 0..<20 {
            #expect(failed(time))
            time += DoubtedKeys.longest
        }
        #expect(!keys.isDoubted("k", now: time))
        keys.proved("k")
        #expect(!failed(time))
        _ = failed(time)
        keys.keep([])
        #expect(!keys.isDoubted("k", now: time))
    }

    @Test("a client has gone on when it sends more than an alert, however its bytes are split", arguments: [1, 2, 3, 7, 1000])
    func proof(step: Int) {
        func feed(_ records: [[UInt8]]) -> Bool {
            var proof = ClientProof()
            let bytes = records.flatMap(\.self)
            for start in stride(from: 0, to: bytes.count, by: step) {
                proof.feed(ByteBuffer(bytes: bytes[start..<min(start + step, bytes.count)]))
            }
            return proof.isProved
        }
        func record(_ type: UInt8, _ length: Int) -> [UInt8] {
            [type, 3, 3, UInt8(length >> 8), UInt8(length & 255)] + Array(repeating: 23, count: length)
        }
        let hello = record(22, 517)
        let change = record(20, 1)
        #expect(!feed([]) && !feed([hello]) && !feed([hello, record(21, 2)]))
        #expect(!feed([hello, change, record(23, 19)]))
        // A second hello, which a server can ask for, proves nothing.
        #expect(!feed([hello, change, record(22, 600), record(23, 19)]))
        #expect(feed([hello, change, record(23, 53)]))
        #expect(feed([hello, change, record(22, 600), record(23, 900)]))
        // The header of a record is no record.
        #expect(!feed([hello, change, record(23, 900).dropLast()]))
    }
}
