import Foundation
import PosternGate
import Testing

/// A known secret is found in every promised form. The forms are made here by Foundation, not by the code under test.
@Suite struct KnownSecretTests {
    private static let values = [
        "hunter2", "correct horse battery staple", "s3cr3t/value+with=signs&more?", "line one\nline two\t\"quoted\" back\\slash", "pässwörd-ünïcode",
        String(repeating: "0123456789abcdef-", count: 120),
    ]

    private func program(_ value: [UInt8]) throws -> RedactionProgram {
        try RedactionProgram(.none, secrets: [.init(name: "KEY", value: value)], hashKey: [1])
    }

    @Test(arguments: values)
    func everyForm(_ value: String) throws {
        let program = try program(Array(value.utf8))
        let data = Data(value.utf8)
        let hex = data.map { String(format: "%02x", $0) }.joined()
        let json = String(decoding: try JSONEncoder().encode([value]), as: UTF8.self).dropFirst(2).dropLast(2)
        let unreserved = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        let percent = try #require(value.addingPercentEncoding(withAllowedCharacters: unreserved))
        for form in [value, hex, hex.uppercased(), String(json), percent, percent.replacingOccurrences(of: "%20", with: "+")] {
            #expect(redacted("<\(form)>", program) == "<[redacted: secret KEY]>")
        }
    }

    /// What libraries write of it in HTML, in JSON that is kept harmless within HTML, and in URLs by JavaScript.
    @Test(arguments: [
        "a&lt;b&gt;c&amp;d&quot;e&#39;f/g+h", "a&lt;b&gt;c&amp;d&#34;e&#x27;f&#x2F;g+h", #"a\u003cb\u003ec\u0026d\"e\u0027f/g+h"#,
        #"a\u003cb\u003ec\u0026d\"e'f/g+h"#, #"a\u003Cb\u003Ec\u0026d\u0022e\u0027f/g\u002Bh"#, #"a<b>c&d\"e'f\/g+h"#, #"a<b>c&d\\\"e'f/g+h"#,
        "a%3Cb%3Ec%26d%22e'f%2Fg%2Bh", "a%3Cb%3Ec&d%22e'f/g+h",
    ])
    func formsOfLibraries(_ form: String) throws {
        let program = try program(Array("a<b>c&d\"e'f/g+h".utf8))
        #expect(redacted("<<\(form)>>", program) == "<<[redacted: secret KEY]>>")
    }

    /// At each alignment, of what depends on the secret alone at most one character stays at either end (up to four bits of a byte).
    @Test(arguments: values)
    func base64AtEveryAlignment(_ value: String) throws {
        let program = try program(Array(value.utf8))
        for before in 0..<7 {
            for after in 0..<4 {
                let data = Data([UInt8](repeating: 0x2A, count: before) + Array(value.utf8) + [UInt8](repeating: 0x2A, count: after))
                let standard = data.base64EncodedString()
                let urlSafe = standard.replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
                for text in [standard, urlSafe] {
                    let output = redacted(text, program)
                    let parts = output.components(separatedBy: "[redacted: secret KEY]")
                    #expect(parts.count == 2)
                    #expect(parts[0].count <= (before * 8 + 5) / 6 && parts.last.map { $0.count <= (after * 8 + 5) / 6 + 3 } == true)
                }
            }
        }
    }

    @Test func aPartOfALongSecretIsFound() throws {
        let value = (0..<4_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) | 0x40 & 0x7F }
        let program = try program(value)
        let output = Redactor.redact(Array(value[500..<3_000]), program).output
        #expect(String(decoding: output, as: UTF8.self).contains("[redacted: secret KEY]"))
        // Pieces of 512 bytes: less than one stays at either end.
        #expect(output.count < 1_024 + 32)
        #expect(Redactor.redact(value, program).output == Array("[redacted: secret KEY]".utf8))
    }

    @Test func whatIsTooShortOrTooLongIsRefusedWithoutItsValue() {
        for value in ["abcde", String(repeating: "q", count: 70_000)] {
            let error = #expect(throws: RedactionError.self) { try program(Array(value.utf8)) }
            #expect(error?.description.contains(value) == false && error?.description.contains("\(value.utf8.count) bytes") == true)
        }
        #expect(throws: RedactionError.self) { try RedactionProgram(.none, secrets: [.init(name: "a]b", value: Array("hunter2".utf8))], hashKey: []) }
        let secret = KnownSecret(name: "KEY", value: Array("hunter2".utf8))
        #expect(!"\(secret) \(String(reflecting: secret))".contains("hunter2"))
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!dumped.contains("104"))
    }
}
