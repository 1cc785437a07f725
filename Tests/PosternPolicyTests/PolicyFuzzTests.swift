import Testing

@testable import PosternPolicy

/// Whatever the bytes, reading ends in a policy or in problems that have a place.
@Suite struct PolicyFuzzTests {
    private let noise = Array("{}[]:,-?!&*#|>'\"%@`\\ \n\t~0123456789abcxyz\u{0}\u{FF}é/.=_<".unicodeScalars)

    private func damaged(_ text: String, by generator: inout PolicyGenerator) -> String {
        var scalars = Array(text.unicodeScalars)
        for _ in 0...Int.random(in: 0...6, using: &generator) {
            let position = Int.random(in: 0..<max(1, scalars.count), using: &generator)
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: scalars.insert(generator.one(of: noise), at: position)
            case 1: scalars[position] = generator.one(of: noise)
            case 2: scalars.remove(at: position)
            case 3: scalars.insert(contentsOf: scalars[position..<min(scalars.count, position + 30)], at: generator.chance() ? 0 : position)
            default: scalars.removeSubrange(position..<min(scalars.count, position + 20))
            }
            if scalars.isEmpty { scalars = ["a"] }
        }
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        return text
    }

    @Test(arguments: 0..<20) func damagedPoliciesEndInProblems(block: Int) {
        var generator = PolicyGenerator(seed: UInt64(9000 + block))
        for _ in 0..<20 {
            do {
                let loaded = try PolicyReader().read(damaged(examplePolicy, by: &generator), file: "p.yaml")
                #expect(loaded.policy.digest.count == 71)
            } catch {
                #expect(!error.problems.isEmpty)
                #expect(error.problems.allSatisfy { $0.place.line >= 1 && $0.place.column >= 1 && !$0.description.contains("\n") })
            }
        }
    }

    @Test(arguments: 0..<20) func damagedFragmentsNeverWiden(block: Int) throws {
        var generator = PolicyGenerator(seed: UInt64(9500 + block))
        let fragment = #"{"files": {"read": ["/a"], "hidden": ["**/x"]}, "network": {"allow": ["r0"], "rules": []}, "limits": {"cpu": "50%"}}"#
        let ceiling = generator.policy()
        for _ in 0..<20 {
            guard let read = try? PolicyFragment(damaged(fragment, by: &generator), source: "s") else { continue }
            #expect(ceiling.narrowed(by: read).excess(over: ceiling) == [])
        }
    }
}
