import PosternTunnelWire
import Testing

@Suite("A bucket of tokens")
struct TokenBucketTests {
    @Test("it gives its burst and then its rate, holds no more than its burst, and no clock that goes back fills it")
    func rate() {
        var bucket = TokenBucket(rate: 2, burst: 3, now: 10)
        func taken(at times: [Double]) -> [Bool] { times.map { bucket.take(now: $0) } }
        #expect(taken(at: [10, 10, 10, 10, 10.25, 0, 10.5, 10.5]) == [true, true, true, false, false, false, true, false])
        #expect(!bucket.isFull(now: 11.75) && bucket.isFull(now: 12))
        #expect(taken(at: [1000, 1000, 1000, 1000]) == [true, true, true, false])
    }

    @Test("a wait takes nothing, and what is spent beyond what there is has to be waited for")
    func waits() {
        var bucket = TokenBucket(rate: 2, burst: 4, now: 0)
        #expect(bucket.wait(for: 4, now: 0) == 0 && bucket.wait(for: 4, now: 0) == 0 && bucket.wait(for: 6, now: 0) == 1)
        #expect(bucket.spend(4, now: 0) == 0 && bucket.spend(3, now: 0) == 1.5 && bucket.wait(for: 1, now: 1) == 1)
        #expect([1.75, 2].map { bucket.take(now: $0) } == [false, true])
    }
}
