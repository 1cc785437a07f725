import PosternGate
import Testing

@Suite("Patterns for a whole text")
struct WholePatternTests {
    @Test(
        "match all of a text or nothing",
        arguments: [
            (
                #"^/data/[a-z]+\.csv$"#, ["/data/a.csv", "/data/abc.csv"],
                ["/data/a.csv\n", "x/data/a.csv", "/data/.csv", "/data/a.csvx", "/data/A.csv", ""]
            ),
            ("^(a|bc)$", ["a", "bc"], ["b", "abc", "ab", "c"]), ("^[0-9]{2,4}$", ["12", "1234"], ["1", "12345", "12a"]),
            ("^/data/.*$", ["/data/", "/data/x", "/data/" + String(repeating: "y", count: 5_000)], ["/data", "/data/a\nb", " /data/"]),
            ("^(?i)falcon$", ["FALCON", "falcon"], ["falcons"]), (#"^a\$$"#, ["a$"], ["a", "a$$"]), ("^ä+$", ["ä", "äää"], ["a", "\u{C3}"]),
            ("^x[ab]*$", ["x", "xabab"], ["xabc", "ax"]),
        ])
    func matches(_ pattern: String, _ good: [String], _ bad: [String]) throws {
        let pattern = try WholePattern(pattern)
        for text in good { #expect(pattern.matches(text), "\(text.prefix(20))") }
        for text in bad { #expect(!pattern.matches(text), "\(text.prefix(20))") }
    }

    @Test(
        "without both anchors, or with what has two meanings, is no pattern",
        arguments: ["a", "^a", "a$", #"^a\$"#, "^a|b$", #"^\ba$"#, "^$", "^(a$", ""])
    func refused(_ pattern: String) {
        #expect(throws: PatternError.self) { try WholePattern(pattern) }
    }

    @Test("a text that is too long matches nothing, and one that would make others backtrack costs nothing")
    func costs() throws {
        let pattern = try WholePattern("^(a|a|aa){1,60}b$")
        #expect(!pattern.matches(String(repeating: "a", count: WholePattern.longestText)))
        #expect(try !WholePattern("^a+$").matches(String(repeating: "a", count: WholePattern.longestText + 1)))
    }
}
