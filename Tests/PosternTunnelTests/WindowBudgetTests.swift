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
            #expect(few[index].granted == LegLimits.streamWindow)
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
        #expect(few[0].granted < LegLimits.streamWindow)
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
