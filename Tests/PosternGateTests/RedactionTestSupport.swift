@testable import PosternGate

/// A generator with a seed, so that a failure can be repeated.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

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
func chunked(_ text: [UInt8], _ program: RedactionProgram, _ random: inout SplitMix) -> (output: [UInt8], counts: RedactionCounts, mostHeld: Int) {
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
