import PosternGate
import SeededRandom
import Testing

/// Any way of cutting a text gives the same output, in bounded memory.
@Suite struct ChunkingTests {
    private func everything() throws -> RedactionProgram {
        var rules = RedactionRules(detectors: Dictionary(uniqueKeysWithValues: RedactionDetector.allCases.map { ($0, .mask) }))
        rules.detectors[.email] = .hash
        rules.detectors[.iban] = .allow
        rules.patterns = [.init(name: "customer", pattern: #"\bCUST-\d{6}\b"#), .init(name: "run", pattern: "z[yz]+")]
        rules.dictionaries = [.init(name: "projects", words: ["Falcon", "Blue Heron", "Heron Falcon"])]
        let secret = KnownSecret(name: "DEPLOY", value: Array("s3cr3t/value+with=signs".utf8))
        return try RedactionProgram(rules, secrets: [secret], hashKey: [1])
    }

    private var texts: [[UInt8]] {
        let samples = DetectorSamples.found.map(\.1) + DetectorSamples.kept.map(\.1)
        let fillers = [
            "plain words, ", " ", "\n", "", "zyzyzy", "CUST-123456", "the falcon and blue heron falcon", "s3cr3t/value+with=signs", "@", "eyJeyJeyJ",
        ]
        return (0..<40).map { index in
            var random = SeededGenerator(seed: UInt64(index))
            var text = ""
            for _ in 0..<12 {
                text += samples[Int.random(in: 0..<samples.count, using: &random)] + fillers[Int.random(in: 0..<fillers.count, using: &random)]
            }
            return Array(text.utf8)
        }
    }

    @Test func anyChunkingGivesTheSame() throws {
        let program = try everything()
        var random = SeededGenerator(seed: 3)
        for text in texts {
            let whole = Redactor.redact(text, program)
            for _ in 0..<5 {
                let pieces = chunked(text, program, &random)
                #expect(pieces.output == whole.output && pieces.counts == whole.counts)
            }
        }
    }

    @Test func everySplitInTwoGivesTheSame() throws {
        let program = try everything()
        // Without the samples of some thousand bytes: every split is tried.
        let short = texts.filter { $0.count < 1_200 }.prefix(4)
        #expect(short.count == 4)
        for text in short {
            let whole = Redactor.redact(text, program)
            for split in 0...text.count {
                var redactor = Redactor(program)
                var output: [UInt8] = []
                redactor.feed(text[..<split], into: &output)
                redactor.feed(text[split...], into: &output)
                redactor.finish(into: &output)
                if output != whole.output || redactor.counts != whole.counts {
                    Issue.record("split at \(split) of \(String(decoding: text, as: UTF8.self))")
                    break
                }
            }
        }
    }

    @Test(arguments: ["eyJ", "a", "eyJa.", "4", "DE89", "://a:", "-----BEGIN PRIVATE KEY-----", "zy", "sk-ant-aaaaaaaaaaaaaaaaaaaaaaaaa", "x@"])
    func memoryIsBounded(_ unit: String) throws {
        let program = try everything()
        var redactor = Redactor(program)
        var output: [UInt8] = []
        var held = 0
        for _ in 0..<(400_000 / unit.utf8.count / 50) {
            redactor.feed(String(repeating: unit, count: 50).utf8, into: &output)
            held = max(held, redactor.heldBytes)
        }
        redactor.finish(into: &output)
        // The longest pattern of all, the longest head, and the present piece.
        #expect(held <= 1_024 + 64 + 2 + unit.utf8.count * 50)
    }

    /// Interactive streams do not stall: what a line feed ends is given out at once.
    @Test func aLineLeavesWhenItEnds() throws {
        var redactor = Redactor(try everything())
        var output: [UInt8] = []
        redactor.feed("data: {\"delta\":\"hello wor\"}\n\n".utf8, into: &output)
        #expect(String(decoding: output, as: UTF8.self) == "data: {\"delta\":\"hello wor\"}\n\n")
        #expect(redactor.heldBytes == 0)
    }
}
