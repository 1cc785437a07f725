import FuzzTargets
import SeededRandom
import Testing

/// The readers of `scripts/fuzz` with inputs by chance that a seed repeats: what every run of the tests can afford.
@Suite("Readers of what comes from outside")
struct MutationTests {
    @Test("hold what they promise for seeds that were changed by chance", arguments: FuzzTarget.all.map(\.name))
    func mutated(name: String) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        for seed in target.seeds { try target.run(seed) }
        var random = SeededGenerator(seed: 1)
        for round in 0..<4000 {
            let bytes = target.mutated(using: &random)
            #expect(throws: Never.self, "round \(round): \(String(decoding: bytes, as: UTF8.self).debugDescription)") { try target.run(bytes) }
        }
    }
}
