import PosternTunnelWire
import SeededRandom
import Testing

@testable import PosternTunnelLink

/// What the streams of a leg may fill of memory.
@Suite("Windows of a leg")
struct WindowBudgetTests {
    @Test("the windows of all streams never exceed the budget, whatever their readers do", arguments: 1...20)
    func bound(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var budget = WindowBudget()
        var streams: [StreamWindow] = []
        for _ in 0..<20_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0 where streams.count < LegLimits.streams: streams.append(StreamWindow(&budget))
            case 1 where !streams.isEmpty: budget.close(streams.remove(at: Int.random(in: 0..<streams.count, using: &random)).granted)
            case _ where !streams.isEmpty:
                let index = Int.random(in: 0..<streams.count, using: &random)
                streams[index].passed(Int.random(in: 0...streams[index].granted / 2, using: &random) / 2)
                if Bool.random(using: &random) { streams[index].taken() }
                if let more = streams[index].renewal(&budget) { #expect(more > 0) }
            default: break
            }
            let granted = streams.reduce(0) { $0 + $1.granted }
            #expect(granted + budget.free == LegLimits.windows && budget.free >= 0)
            #expect(streams.allSatisfy { (LegLimits.firstWindow...LegLimits.streamWindow).contains($0.granted) })
        }
        for stream in streams { budget.close(stream.granted) }
        #expect(budget.free == LegLimits.windows)
    }

    @Test("streams of legs that share a pool grow by no more than it has, go on without it, and give everything back", arguments: 1...5)
    func pool(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let bytes = 8 << 20
        let pool = WindowPool(bytes)
        var legs = (0..<4).map { _ in (budget: WindowBudget(pool: pool), streams: [StreamWindow]()) }
        for _ in 0..<20_000 {
            let leg = Int.random(in: 0..<4, using: &random)
            let count = legs[leg].streams.count
            switch Int.random(in: 0..<10, using: &random) {
            case 0 where count < LegLimits.streams: legs[leg].streams.append(StreamWindow(&legs[leg].budget))
            case 1 where count > 0:
                let gone = legs[leg].streams.remove(at: Int.random(in: 0..<count, using: &random))
                legs[leg].budget.close(gone.granted)
            case _ where count > 0:
                let index = Int.random(in: 0..<count, using: &random)
                var stream = legs[leg].streams[index]
                stream.passed(stream.granted / 2)
                stream.taken()
                _ = stream.renewal(&legs[leg].budget)
                legs[leg].streams[index] = stream
            default: break
            }
            let grown = legs.flatMap(\.streams).reduce(0) { $0 + $1.granted - LegLimits.firstWindow }
            #expect(grown + pool.free == bytes && pool.free >= 0)
        }
        for leg in legs.indices { for stream in legs[leg].streams { legs[leg].budget.close(stream.granted) } }
        #expect(pool.free == bytes)
    }

    @Test("where the process has nothing left, a reader that keeps up goes on with its first window")
    func dry() {
        var budget = WindowBudget(pool: WindowPool(0))
        var stream = StreamWindow(&budget)
        for _ in 0..<5 {
            stream.passed(LegLimits.firstWindow)
            stream.taken()
            #expect(stream.renewal(&budget) == LegLimits.firstWindow && stream.granted == LegLimits.firstWindow)
        }
    }

    /// Carries 50 MB/s at 40 ms, bytes.
    private static let long = 2 << 20

    @Test("a few streams get windows that fill a long path in three steps, and a hundred share what there is")
    func growth() {
        var budget = WindowBudget()
        var few = (0..<4).map { _ in StreamWindow(&budget) }
        for index in few.indices {
            for _ in 0..<3 {
                few[index].passed(few[index].granted)
                few[index].taken()
                _ = few[index].renewal(&budget)
            }
            #expect(few[index].granted == Self.long)
        }
        var rest = (0..<96).map { _ in StreamWindow(&budget) }
        for _ in 0..<10 {
            for index in rest.indices {
                rest[index].passed(rest[index].granted)
                rest[index].taken()
                #expect(rest[index].renewal(&budget) ?? 0 >= LegLimits.firstWindow / 2, "a reader that keeps up is never left without a window")
            }
        }
        // Under pressure who has much gives back what it does not use at once.
        few[0].passed(few[0].granted)
        few[0].taken()
        _ = few[0].renewal(&budget)
        #expect(few[0].granted < Self.long)
    }

    @Test("a stream that is alone gets the largest window in four steps, and it is not more")
    func alone() {
        var budget = WindowBudget()
        var stream = StreamWindow(&budget)
        for _ in 0..<4 {
            #expect(stream.granted < LegLimits.streamWindow)
            stream.passed(stream.granted)
            stream.taken()
            _ = stream.renewal(&budget)
        }
        #expect(stream.granted == LegLimits.streamWindow)
        stream.passed(stream.granted)
        stream.taken()
        _ = stream.renewal(&budget)
        #expect(stream.granted == LegLimits.streamWindow && budget.free == LegLimits.windows - LegLimits.streamWindow)
    }

    @Test("a reader that takes nothing gets no further window")
    func stall() {
        var budget = WindowBudget()
        var stream = StreamWindow(&budget)
        stream.passed(stream.granted)
        for _ in 0..<5 { #expect(stream.renewal(&budget) == nil) }
        stream.taken()
        #expect(stream.renewal(&budget) == LegLimits.secondWindow)
    }
}
