import PosternGate
import Testing

@Suite struct PatternParserTests {
    @Test(arguments: [
        ("abc", "xxabcx", ["abc"]), (#"CUST-\d{6}"#, "CUST-12345 CUST-123456", ["CUST-123456"]), ("a|bc", "bca", ["bc", "a"].joinedOnce),
        ("(?i)falcon", "FaLcOn", ["FaLcOn"]), (#"\bcat\b"#, "cat concat cats", ["cat"]), ("[^a-y ]+", "zap ZZ9", ["z", "ZZ9"]),
        (#"\x41[\x42-\x44]"#, "AB AE", ["AB"]), ("(?:ab){2,3}", "ab abab", ["abab"]), ("ä{2}", "äää!", ["äää"]),
        (#"id=\w+"#, "id=" + String(repeating: "q", count: 5_000) + " z", ["id=" + String(repeating: "q", count: 5_000)]),
        (#"[]a]x"#, "]xax", ["]xax"]), (#"[a\-z]!"#, "-! b!", ["-!"]), (#"a.c"#, "a\nc abc", ["abc"]), ("x{3}", "xxxx", ["xxxx"]),
    ])
    func matches(_ pattern: String, _ text: String, _ expected: [String]) throws {
        let program = try RedactionProgram(.init(patterns: [.init(name: "p", pattern: pattern)]), hashKey: [1])
        var rest = text
        for match in expected {
            let range = try #require(rest.range(of: match, after: nil))
            rest.replaceSubrange(range, with: "\u{1}")
        }
        let wanted = rest.split(separator: "\u{1}", omittingEmptySubsequences: false).joined(separator: "[redacted: p]")
        #expect(String(decoding: Redactor.redact(Array(text.utf8), program).output, as: UTF8.self) == wanted)
    }

    @Test(arguments: [
        "", "a*", "(", ")", "a)", "[", "[]", "[z-a]", "a{2,1}", "a{0}", "a{", "a{x}", "*a", "a**", "a+?", "a++", #"\q"#, #"\x4"#, #"\x+1"#, "^a",
        "a$",
        "(?=a)", #"a\bb"#, #"(a\b)"#, #"a\b|b"#, "a{5000}", "(a{100}){100}", "((a|b){500}){3}", "[ä]", "a|", #"\"#,
        String(repeating: "(", count: 100) + "a" + String(repeating: ")", count: 100),
        String(repeating: "(", count: 20) + "a" + String(repeating: "{9}){9}", count: 20),
    ])
    func refuses(_ pattern: String) {
        #expect(throws: RedactionError.self) { try RedactionProgram(.init(patterns: [.init(name: "p", pattern: pattern)]), hashKey: [1]) }
    }

    @Test func anErrorSaysWhereAndWhy() throws {
        let error = #expect(throws: PatternError.self) { try PatternParser.parse(#"abc\q"#) }
        #expect(error?.offset == 5)
        #expect(error?.description.contains(#"'\q' is not known"#) == true)
    }
}

extension [String] {
    /// Matches that touch get one mark together.
    fileprivate var joinedOnce: [String] { [joined()] }
}

extension String {
    fileprivate func range(of part: String, after: String.Index?) -> Range<String.Index>? {
        var start = after ?? startIndex
        while start < endIndex {
            if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
            start = index(after: start)
        }
        return nil
    }
}
