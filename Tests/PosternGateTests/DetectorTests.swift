import PosternGate
import Testing

@Suite struct DetectorTests {
    private func program(_ detector: RedactionDetector, _ action: RedactionAction = .mask) throws -> RedactionProgram {
        try RedactionProgram(.init(detectors: [detector: action]), hashKey: [1])
    }

    @Test func whatMustBeFound() throws {
        for (detector, sample) in DetectorSamples.found {
            let program = try program(detector)
            let mark = "[redacted: \(detector.rawValue)]"
            for (before, after) in [("", ""), ("x = \"", "\"\n"), ("see <", "> and more"), ("line\n", "\nline")] {
                #expect(redacted(before + sample + after, program) == before + mark + after, "\(detector)")
            }
        }
        #expect(Set(DetectorSamples.found.map(\.0)) == Set(RedactionDetector.allCases))
    }

    @Test func whatMustStay() throws {
        for (detector, sample) in DetectorSamples.kept {
            for text in [sample, "a \(sample) b"] { #expect(redacted(text, try program(detector)) == text, "\(detector)") }
        }
    }

    @Test func anUnfinishedPrivateKeyIsMaskedAsFarAsOneReaches() throws {
        let text = "-----BEGIN PRIVATE KEY-----\n" + String(repeating: "A", count: 20_000)
        let output = redacted(text, try program(.privateKey))
        #expect(output == "[redacted: private-key]" + String(repeating: "A", count: 20_000 + 28 - 27 - 16_384))
    }

    @Test func theHashIsKeyedAndStable() throws {
        let rules = RedactionRules(detectors: [.email: .hash])
        let one = try RedactionProgram(rules, hashKey: [1])
        let output = redacted("a@x.org b@x.org a@x.org", one)
        let marks = output.split(separator: "] [").map { $0.filter { $0 != "[" && $0 != "]" } }
        #expect(marks.count == 3 && marks[0] == marks[2] && marks[0] != marks[1])
        #expect(marks[0].hasPrefix("redacted: email ") && marks[0].count == "redacted: email ".count + 16)
        #expect(redacted("a@x.org", try RedactionProgram(rules, hashKey: [2])) != redacted("a@x.org", one))
    }

    @Test func theStrongestActionOfAGroupWins() throws {
        let rules = RedactionRules(
            detectors: [.email: .hash],
            patterns: [.init(name: "org", pattern: #"x\.org"#, action: .mask), .init(name: "seen", pattern: "a@", action: .allow)])
        let result = Redactor.redact(Array("write a@x.org now".utf8), try RedactionProgram(rules, hashKey: [1]))
        #expect(String(decoding: result.output, as: UTF8.self) == "write [redacted: org] now")
        #expect(result.counts.byRule == ["org": 1, "email": 1, "seen": 1])
    }

    @Test func allowPassesAndCounts() throws {
        let result = Redactor.redact(Array("a@x.org, b@x.org".utf8), try program(.email, .allow))
        #expect(String(decoding: result.output, as: UTF8.self) == "a@x.org, b@x.org")
        #expect(result.counts.byRule == ["email": 2])
    }

    @Test func blockLetsNothingMoreOut() throws {
        var redactor = Redactor(try program(.cardNumber, .block))
        var output: [UInt8] = []
        redactor.feed("before 4111111111111111 after".utf8, into: &output)
        redactor.feed(" and more".utf8, into: &output)
        redactor.finish(into: &output)
        #expect(String(decoding: output, as: UTF8.self) == "before " && redactor.blockedBy == "card-number")
    }
}
