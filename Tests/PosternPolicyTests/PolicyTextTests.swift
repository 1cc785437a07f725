import Testing

@testable import PosternPolicy

@Suite struct PolicyTextTests {
    private func problem(_ text: String, _ format: PolicyText.Format = .yaml) -> String? {
        do {
            _ = try PolicyText.read(text, file: "p", format: format)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        ("a: &x 1\nb: *x\n", "p:1:4: error: anchors and aliases are refused"),
        ("a: [&x [1], &y [*x, *x]]\n", "p:1:5: error: anchors"),
        ("? &x [a]\n: b\n", "p:1:3: error: anchors"),
        ("a: !!str &x b\n", "p:1:10: error: anchors"),
        ("# \"\na: &x 1 # \"\n", "p:2:4: error: anchors"),
        ("a: !!binary x\n", "the tag tag:yaml.org,2002:binary is refused"),
        ("a: [!.git/config]\n", "put a text that begins with ! in quotes"),
        ("a: [*.example.com]\n", "put a text that begins with * in quotes"),
        ("a: *\n", "put a text that begins with * in quotes"),
        ("a: 1\na: 2\n", #"the key "a" is written twice"#),
        ("a: [\n", "p:2:1: error: is no YAML"),
        ("a: 1\n---\nb: 2\n", "is no YAML"),
        ("[a]: 1\n", "a key must be text"),
    ])
    func whatYAMLCouldDoToUsIsRefused(text: String, message: String) {
        #expect(problem(text)?.contains(message) == true, "\(problem(text) ?? "accepted")")
    }

    @Test func depthAndSizeAreBounded() {
        #expect(problem(String(repeating: "[", count: 17) + String(repeating: "]", count: 17))?.contains("nested deeper than 16") == true)
        #expect(problem(String(repeating: "- ", count: 5000) + "a")?.contains("error") == true)
        #expect(problem("a: " + String(repeating: "x", count: 300_000))?.contains("262144 is the limit") == true)
        #expect(problem(String(repeating: "[", count: 16) + String(repeating: "]", count: 16)) == nil)
    }

    @Test func aTextOfNothingButMistakesIsQuicklyRefused() {
        let text = "version: 1\n" + (0..<20_000).map { "k\($0): 1\n" }.joined()
        #expect(policyProblems(text).count == SchemaReader.maximumProblems)
        #expect(problem("[" + String(repeating: "1,", count: 10_000) + "1]", .json)?.contains("16384 is the limit") == true)
    }

    @Test func onlyJSONIsJSON() {
        #expect(problem(#"{"a": [1, true, null, "x"]}"#, .json) == nil)
        #expect(problem("a: 1", .json)?.contains("is no JSON") == true)
        #expect(problem(#"{"a": 1, "a": 2}"#, .json)?.contains("repeats") == true)
        #expect(problem("{\n \"a\": }", .json)?.hasPrefix("p:2:7: error: is no JSON") == true)
    }

    @Test(
        arguments: [
            ("no", .text("no")), ("on", .text("on")), ("true", .boolean(true)), ("0x10", .text("0x10")), ("010", .integer(10)),
            ("1_000", .text("1_000")),
            ("12:30", .text("12:30")), ("1.5", .decimal(1.5)), ("-3", .integer(-3)), ("~", .null), ("2026-01-01", .text("2026-01-01")),
            ("-", .text("-")),
            ("1e400", .text("1e400")),
        ] as [(String, PolicyNode.Value)])
    func plainScalarsAreThoseOfYAML12(text: String, value: PolicyNode.Value) { #expect(YAMLScalar.value(of: text) == value) }

    @Test func placesAreThoseOfTheText() throws {
        let node = try PolicyText.read("a:\n  - b: \"c\"\n", file: "p")
        let element = try #require(node["a"]?.elements?.first)
        #expect(element["b"]?.place == SourcePlace(file: "p", line: 2, column: 8))
    }
}
