import SeededRandom
@testable import PosternGate

extension RedactionProgram {
    /// Built patterns, all under the rule `p`.
    static func testing(_ patterns: [Pattern]) -> RedactionProgram {
        var builder = AutomatonBuilder()
        var needles: [Needle] = []
        for pattern in patterns {
            _ = builder.add(pattern, needle: Int32(needles.count))
            needles.append(Needle(rule: 0, notBefore: pattern.notBefore, head: pattern.head, tail: pattern.tail))
        }
        return RedactionProgram(automaton: builder.build(), rules: [Rule(name: "p", action: .mask)], needles: needles, hashKey: [1])
    }

    static func testing(_ builder: AutomatonBuilder) -> RedactionProgram {
        RedactionProgram(automaton: builder.build(), rules: [Rule(name: "p", action: .mask)], needles: [Needle(rule: 0)], hashKey: [1])
    }
}

/// The text in pieces of random sizes, 0 to 9 bytes.
func chunked(_ text: [UInt8], _ program: RedactionProgram, _ random: inout SeededGenerator) -> (
    output: [UInt8], counts: RedactionCounts, mostHeld: Int
) {
    var redactor = Redactor(program)
    var output: [UInt8] = []
    var (index, mostHeld) = (0, 0)
    while index < text.count {
        let count = min(text.count - index, Int.random(in: 0...9, using: &random))
        redactor.feed(text[index..<index + count], into: &output)
        mostHeld = max(mostHeld, redactor.heldBytes)
        index += count
    }
    redactor.finish(into: &output)
    return (output, redactor.counts, mostHeld)
}

func redacted(_ text: String, _ program: RedactionProgram) -> String {
    String(decoding: Redactor.redact(Array(text.utf8), program).output, as: UTF8.self)
}
