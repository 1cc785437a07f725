import SeededRandom
import Testing

@testable import PosternGate

/// The redactor against a second implementation that is too slow to be wrong: every match of every pattern is found by trying all starts and
/// all ends.
@Suite struct RedactorOracleTests {
    /// All ends of matches that begin at `start`.
    private func ends(_ node: PatternNode, _ text: [UInt8], _ start: Int) -> Set<Int> {
        switch node {
        case .bytes(let set): return start < text.count && set.contains(text[start]) ? [start + 1] : []
        case .sequence(let nodes):
            return nodes.reduce([start]) { starts, node in Set(starts.flatMap { ends(node, text, $0) }) }
        case .alternatives(let nodes): return Set(nodes.flatMap { ends($0, text, start) })
        case .repeated(let node, let least, let most):
            var (all, now) = (Set<Int>(), Set([start]))
            for count in 0...most {
                if count >= least { all.formUnion(now) }
                now = Set(now.flatMap { ends(node, text, $0) })
            }
            return all
        }
    }

    private func oracle(_ patterns: [Pattern], _ text: [UInt8]) -> [UInt8] {
        var intervals: [(Int, Int)] = []
        for pattern in patterns {
            for start in text.indices {
                if start > 0, pattern.notAfter.contains(text[start - 1]) { continue }
                for end in ends(pattern.node, text, start) where end > start {
                    if end < text.count, pattern.notBefore.contains(text[end]) { continue }
                    intervals.append((start, end))
                }
            }
        }
        intervals.sort { $0 < $1 }
        var output: [UInt8] = []
        var index = 0
        var position = 0
        while index < intervals.count {
            var (start, end) = intervals[index]
            while index < intervals.count, intervals[index].0 <= end {
                end = max(end, intervals[index].1)
                index += 1
            }
            output += text[position..<start]
            output += Array("[redacted: p]".utf8)
            (position, start) = (end, end)
        }
        return output + text[position...]
    }

    private func randomNode(_ depth: Int, _ random: inout SeededGenerator) -> PatternNode {
        func byte(_ random: inout SeededGenerator) -> PatternNode {
            let letters = Array("abc ".utf8)
            return .bytes(ByteSet((0..<Int.random(in: 1...2, using: &random)).map { _ in letters[Int.random(in: 0..<4, using: &random)] }))
        }
        if depth == 0 { return byte(&random) }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return .sequence((0..<Int.random(in: 1...3, using: &random)).map { _ in randomNode(depth - 1, &random) })
        case 1: return .alternatives((0..<2).map { _ in randomNode(depth - 1, &random) })
        case 2:
            let least = Int.random(in: 0...2, using: &random)
            return .repeated(randomNode(depth - 1, &random), least: least, most: least + Int.random(in: 1...2, using: &random))
        default: return byte(&random)
        }
    }

    @Test func randomPatternsOnRandomTexts() throws {
        var random = SeededGenerator(seed: 7)
        var checked = 0
        while checked < 120 {
            let guards = [ByteSet(), ByteSet(of: "a"), ByteSet(of: "bc")]
            var patterns: [Pattern] = []
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                var pattern = Pattern(node: .sequence([randomNode(2, &random), randomNode(1, &random)]))
                pattern.notAfter = guards[Int.random(in: 0..<3, using: &random)]
                pattern.notBefore = guards[Int.random(in: 0..<3, using: &random)]
                if !pattern.node.matchesNothing { patterns.append(pattern) }
            }
            if patterns.isEmpty { continue }
            let program = RedactionProgram.testing(patterns)
            for _ in 0..<6 {
                let text = (0..<Int.random(in: 0...60, using: &random)).map { _ in Array("aabbc ".utf8)[Int.random(in: 0..<6, using: &random)] }
                let wanted = String(decoding: oracle(patterns, text), as: UTF8.self)
                #expect(String(decoding: Redactor.redact(text, program).output, as: UTF8.self) == wanted, "\(patterns) on \(text)")
                #expect(String(decoding: chunked(text, program, &random).output, as: UTF8.self) == wanted, "\(patterns) on \(text), in pieces")
            }
            checked += 1
        }
    }

    /// More words than the matcher's table has room for: it is emptied again and again, and nothing is missed.
    @Test func aDictionaryLargerThanTheTable() throws {
        var random = SeededGenerator(seed: 11)
        let letters = (0x21...0x7E).map { UInt8($0) } + (0xA1...0xFE).map { UInt8($0) }
        let words = (0..<800).map { _ in (0..<6).map { _ in letters[Int.random(in: 0..<letters.count, using: &random)] } }
        var builder = AutomatonBuilder()
        for word in words { _ = builder.add(literal: word, ignoresCase: false, notAfter: ByteSet(), needle: 0) }
        let program = RedactionProgram.testing(builder)
        var text: [UInt8] = []
        var wanted: [UInt8] = []
        for word in words.shuffled(using: &random) {
            text += word + [0x20]
            wanted += Array("[redacted: p] ".utf8)
        }
        #expect(Redactor.redact(text, program).output == wanted)
        // Almost a word: nothing is masked.
        let broken: [UInt8] = words.flatMap { word -> [UInt8] in Array(word.dropLast()) + [0x20] }
        #expect(Redactor.redact(broken, program).output == broken)
    }
}
