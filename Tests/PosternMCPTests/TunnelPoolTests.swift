import NIOCore
import PosternMCP
import SeededRandom
import Testing

@Suite struct TunnelPoolTests {
    private typealias Pool = TunnelPool<String>
    private let start = NIODeadline.now()

    private func pool(perKey: Int = 2, total: Int = 3, idle: TimeAmount = .seconds(60)) -> Pool {
        var limits = Pool.Limits()
        limits.perKey = perKey
        limits.total = total
        limits.idle = idle
        return Pool(limits)
    }

    @Test func aConnectionServesItsOwnKeyOnly() {
        var pool = pool()
        #expect(pool.take("a", ticket: 1, now: start) == .dial(1, evict: nil))
        pool.dialled(1, expires: .distantFuture)
        #expect(pool.giveBack(1, now: start).isEmpty)
        // Another identity gets one of its own, though one is idle.
        #expect(pool.take("b", ticket: 2, now: start) == .dial(2, evict: nil))
        #expect(pool.take("a", ticket: 3, now: start) == .use(1))
        // One that is in use is nobody else's.
        #expect(pool.take("a", ticket: 4, now: start) == .dial(3, evict: nil))
    }

    @Test func thereAreNoMoreThanAllowed() {
        var pool = pool()
        #expect(pool.take("a", ticket: 1, now: start) == .dial(1, evict: nil))
        #expect(pool.take("a", ticket: 2, now: start) == .dial(2, evict: nil))
        #expect(pool.take("a", ticket: 3, now: start) == .wait)
        #expect(pool.take("b", ticket: 4, now: start) == .dial(3, evict: nil))
        #expect(pool.take("c", ticket: 5, now: start) == .wait)
        for id in 1...3 { pool.dialled(id, expires: .distantFuture) }
        // The one that waits for this key gets it, though another waits too.
        let served = pool.giveBack(1, now: start)
        #expect(served.map(\.ticket) == [3] && served.first?.decision == .use(1))
        // What is gone makes room for whoever waits.
        let next = pool.gone(3, now: start)
        #expect(next.map(\.ticket) == [5] && next.first?.decision == .dial(4, evict: nil))
        #expect(pool.count == 3)
    }

    @Test func anIdleOneMakesWayForAnotherKey() {
        var pool = pool(perKey: 3)
        for id in 1...3 {
            #expect(pool.take("a", ticket: id, now: start) == .dial(id, evict: nil))
            pool.dialled(id, expires: .distantFuture)
        }
        #expect(pool.giveBack(2, now: start).isEmpty)
        #expect(pool.giveBack(1, now: start + .seconds(1)).isEmpty)
        #expect(pool.take("b", ticket: 4, now: start + .seconds(2)) == .dial(4, evict: 2))
        #expect(pool.count == 3)
    }

    @Test func whoGivesUpIsNotServed() {
        var pool = pool(perKey: 1)
        _ = pool.take("a", ticket: 1, now: start)
        #expect(pool.take("a", ticket: 2, now: start) == .wait)
        #expect(pool.take("a", ticket: 3, now: start) == .wait)
        pool.giveUp(2)
        #expect(pool.gone(1, now: start).map(\.ticket) == [3])
    }

    @Test func connectionsEndWithTheirCertificateAndWhenNobodyUsesThem() {
        var pool = pool(total: 10)
        for id in 1...2 {
            _ = pool.take("a", ticket: id, now: start)
            pool.dialled(id, expires: start + .seconds(100))
        }
        #expect(pool.giveBack(1, now: start).isEmpty)
        #expect(pool.due(start + .seconds(59)) == [])
        #expect(pool.due(start + .seconds(60)) == [1])
        // In use, but its certificate has ended.
        #expect(pool.due(start + .seconds(99)) == [])
        #expect(pool.due(start + .seconds(100)) == [2])
        #expect(pool.giveBack(2, now: start + .seconds(100)).isEmpty)
        #expect(pool.take("a", ticket: 3, now: start + .seconds(100)) == .dial(3, evict: nil))
    }

    @Test func anIdleOneThatHasOutlivedItsCertificateIsNotUsed() {
        var pool = pool(idle: .hours(1))
        _ = pool.take("a", ticket: 1, now: start)
        pool.dialled(1, expires: start + .seconds(10))
        #expect(pool.giveBack(1, now: start).isEmpty)
        #expect(pool.take("a", ticket: 2, now: start + .seconds(10)) == .dial(2, evict: nil))
    }

    @Test(arguments: 0..<20)
    func chanceFindsNoSharedAndNoLostConnection(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var pool = pool(perKey: 3, total: 6, idle: .seconds(5))
        var now = start
        var keys: [Int: String] = [:]
        var busy: Set<Int> = []
        var waiting: [Int: String] = [:]
        func settle(_ ticket: Int, _ key: String, _ decision: Pool.Decision) {
            switch decision {
            case .use(let id):
                #expect(keys[id] == key && busy.insert(id).inserted)
            case .dial(let id, let evicted):
                if let evicted {
                    #expect(!busy.contains(evicted))
                    keys[evicted] = nil
                }
                #expect(keys.updateValue(key, forKey: id) == nil && busy.insert(id).inserted)
                pool.dialled(id, expires: now + .seconds(Int64.random(in: 1...20, using: &random)))
            case .wait: waiting[ticket] = key
            }
        }
        func settle(_ served: [(ticket: Int, decision: Pool.Decision)]) {
            for (ticket, decision) in served {
                guard let key = waiting.removeValue(forKey: ticket) else {
                    Issue.record("\(ticket) did not wait")
                    continue
                }
                settle(ticket, key, decision)
            }
        }
        for ticket in 1...400 {
            now = now + .milliseconds(Int64.random(in: 0...900, using: &random))
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                let key = ["a", "b", "c"].randomElement(using: &random) ?? "a"
                settle(ticket, key, pool.take(key, ticket: ticket, now: now))
            case 2:
                guard let id = busy.sorted().randomElement(using: &random) else { continue }
                busy.remove(id)
                if Bool.random(using: &random) {
                    settle(pool.giveBack(id, now: now))
                } else {
                    keys[id] = nil
                    settle(pool.gone(id, now: now))
                }
            default:
                for id in pool.due(now) {
                    keys[id] = nil
                    busy.remove(id)
                    settle(pool.gone(id, now: now))
                }
            }
            #expect(pool.count <= 6)
            for key in ["a", "b", "c"] { #expect(busy.count { keys[$0] == key } <= 3) }
        }
    }
}
