import Synchronization

/// How fast text passes the redactor, against copying it and against a loop that only looks at every byte.
package enum RedactionBenchmark {
    /// In MB (10⁶ bytes) a second; the best of five rounds.
    package struct Report: Sendable, CustomStringConvertible {
        /// Log-like text in which nothing is found, in pieces of 64 KiB, with the standard rules and eight secrets.
        package var plain: Double
        /// Text with an e-mail address and a token in every line.
        package var dense: Double
        package var copy: Double
        package var look: Double
        /// Making the rules and secrets ready, once per session, in milliseconds.
        package var preparation: Double

        package var description: String {
            "redaction: \(Int(plain)) MB/s without a find, \(Int(dense)) MB/s with finds in every line; a copy \(Int(copy)), a look at every byte "
                + "\(Int(look)); \(Int(preparation * 10) / 10) ms to prepare a session"
        }
    }

    /// `megabytes`: size of the text without finds.
    package static func run(megabytes: Int = 16) throws(RedactionError) -> Report {
        var rules = RedactionRules.standard
        rules.detectors[.email] = .mask
        let secrets = (0..<8).map { (index: Int) -> KnownSecret in
            let value = (0..<40).map { (offset: Int) -> UInt8 in UInt8(33 + (index * 7 + offset * 11) % 90) }
            return KnownSecret(name: "SECRET_\(index)", value: value)
        }
        let clock = ContinuousClock()
        let start = clock.now
        let program = try RedactionProgram(rules, secrets: secrets, hashKey: [1])
        let preparation = (clock.now - start) / .milliseconds(1)
        let plainText = text(
            bytes: megabytes * 1_000_000,
            line: {
                "2026-11-26T22:00:0\($0 % 10) [info] build of module \($0) failed at /usr/lib/x.swift:\($0): let value = static(0x7fff) // why?\n"
            })
        let denseText = text(
            bytes: max(1, megabytes / 8) * 1_000_000,
            line: { "mail user\($0)@example.org about " + "ghp_" + String(repeating: "aB3", count: 12) + "\n" })
        var target = [UInt8](repeating: 0, count: plainText.count)
        return Report(
            plain: rate(plainText.count) { redact(plainText, program) }, dense: rate(denseText.count) { redact(denseText, program) },
            copy: rate(plainText.count) {
                target.withUnsafeMutableBytes { $0.copyBytes(from: plainText) }
                return Int(target[plainText.count / 2])
            },
            look: rate(plainText.count) {
                plainText.withUnsafeBufferPointer { bytes in
                    var seen = 0
                    for byte in bytes where byte == 0x0A { seen &+= 1 }
                    return seen
                }
            }, preparation: preparation)
    }

    private static func text(bytes: Int, line: (Int) -> String) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(bytes + 200)
        var index = 0
        while text.count < bytes {
            text += line(index).utf8
            index += 1
        }
        return text
    }

    private static func redact(_ text: [UInt8], _ program: RedactionProgram) -> Int {
        var redactor = Redactor(program)
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        for start in stride(from: 0, to: text.count, by: 65_536) {
            redactor.feed(text[start..<min(start + 65_536, text.count)], into: &output)
        }
        redactor.finish(into: &output)
        return output.count
    }

    /// Keeps the optimiser from dropping work whose result nobody reads.
    private static let sink = Atomic<Int>(0)

    private static func rate(_ bytes: Int, _ body: () -> Int) -> Double {
        var best = Double.infinity
        for _ in 0..<5 {
            let duration = ContinuousClock().measure { sink.wrappingAdd(body(), ordering: .relaxed) }
            best = min(best, duration / .seconds(1))
        }
        return Double(bytes) / best / 1_000_000
    }
}
