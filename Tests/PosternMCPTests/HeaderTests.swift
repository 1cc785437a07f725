import PosternJSON
import PosternMCP
import SeededRandom
import Testing

@Suite struct HeaderValueTests {
    @Test(arguments: [
        ("get_weather", "get_weather"), ("a b", "a b"), ("", ""), (" a", "=?base64?IGE=?="), ("a ", "=?base64?YSA=?="), ("ü", "=?base64?w7w=?="),
        ("a\nb", "=?base64?YQpi?="), ("a\tb", "=?base64?YQli?="), ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="), ("=?base64?", "=?base64?"),
    ])
    func textThatNoHeaderCarriesIsWrapped(text: String, expected: String) { #expect(HeaderValue.encode(text) == expected) }

    @Test func whateverIsEncodedFitsAHeader() {
        for seed in 0..<500 {
            var random = SeededGenerator(seed: UInt64(seed))
            let text = String(
                decoding: (0..<Int.random(in: 0...12, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }, as: UTF8.self)
            let value = HeaderValue.encode(text)
            #expect(value.utf8.allSatisfy { (0x20...0x7E).contains($0) } && !value.hasPrefix(" ") && !value.hasSuffix(" "), "seed \(seed)")
            if value != text { #expect(Base64.decode(String(value.dropFirst(9).dropLast(2))) == Array(text.utf8), "seed \(seed)") }
        }
    }

    @Test func base64GoesBothWays() {
        for count in 0...64 {
            var random = SeededGenerator(seed: UInt64(count))
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
        for text in ["a", "ab", "abc", "a===", "====", "ab=c", "ab c", "ab\n=", "ü==", "aé=="] { #expect(Base64.decode(text) == nil, "\(text)") }
    }
}

@Suite struct ToolHeadersTests {
    private func fields(_ schema: JSON, _ arguments: JSONObject) throws -> [String] {
        try ToolHeaders(inputSchema: schema).fields(arguments: arguments).map { "\($0.name): \($0.value)" }.sorted()
    }

    @Test func markedArgumentsAreRepeated() throws {
        let schema: JSON = [
            "type": "object",
            "properties": [
                "region": ["type": "string", "x-mcp-header": "Region"], "count": ["type": "integer", "x-mcp-header": "Count"],
                "deep": ["type": "object", "properties": ["on": ["type": "boolean", "x-mcp-header": "On"]]], "other": ["type": "string"],
            ],
        ]
        #expect(
            try fields(schema, ["region": "eu", "count": 3, "deep": ["on": false], "other": "x"])
                == ["Mcp-Param-Count: 3", "Mcp-Param-On: false", "Mcp-Param-Region: eu"])
        #expect(try fields(schema, ["region": .null, "deep": 1]) == [])
        #expect(try fields(schema, ["region": "Zürich\r\nX: y"]) == ["Mcp-Param-Region: =?base64?WsO8cmljaA0KWDogeQ==?="])
        #expect(try fields(["type": "object"], ["a": 1]) == [])
    }

    @Test(
        arguments: [
            ["x-mcp-header": "A", "type": "string"],
            ["properties": ["a": ["type": "number", "x-mcp-header": "A"]]], ["properties": ["a": ["type": "object", "x-mcp-header": "A"]]],
            ["properties": ["a": ["x-mcp-header": "A"]]], ["properties": ["a": ["type": ["string", "null"], "x-mcp-header": "A"]]],
            ["properties": ["a": ["type": "string", "x-mcp-header": ""]]], ["properties": ["a": ["type": "string", "x-mcp-header": "A:B"]]],
            ["properties": ["a": ["type": "string", "x-mcp-header": "A\r\nB"]]], ["properties": ["a": ["type": "string", "x-mcp-header": 1]]],
            ["properties": ["a": ["type": "string", "x-mcp-header": "A"], "b": ["type": "string", "x-mcp-header": "a"]]],
            ["properties": ["a": ["type": "array", "items": ["type": "string", "x-mcp-header": "A"]]]],
            ["anyOf": [["properties": ["a": ["type": "string", "x-mcp-header": "A"]]]]],
            ["$defs": ["d": ["properties": ["a": ["type": "string", "x-mcp-header": "A"]]]]],
        ] as [JSON])
    func marksThatMeanNothingAreRefused(schema: JSON) {
        #expect(throws: ToolHeaders.Invalid.self) { try ToolHeaders(inputSchema: schema) }
    }

    /// What only looks like a mark is data.
    @Test func dataOfASchemaIsNoMark() throws {
        let schema: JSON = ["properties": ["a": ["type": "object", "default": ["x-mcp-header": "A"], "enum": [["x-mcp-header": "B"]]]]]
        #expect(try fields(schema, ["a": "x"]) == [])
    }

    @Test func aDeepSchemaIsRefusedAndNotFollowed() {
        var schema: JSON = ["type": "string"]
        for _ in 0..<120 { schema = ["properties": ["a": schema]] }
        #expect(throws: ToolHeaders.Invalid.self) { try ToolHeaders(inputSchema: schema) }
    }
}

@Suite struct BearerChallengeTests {
    @Test(
        arguments: [
            (
                [#"Bearer resource_metadata="https://x/.well-known/oauth-protected-resource/mcp", scope="a b""#],
                ["https://x/.well-known/oauth-protected-resource/mcp", "a b", nil]
            ),
            ([#"Basic realm="x, Bearer y", Bearer error=insufficient_scope,scope="s\"q""#], [nil, "s\"q", "insufficient_scope"]),
            (["Negotiate YIIabc==, bearer SCOPE=s"], [nil, "s", nil]), (["Negotiate", "Bearer"], [nil, nil, nil]),
            ([#"Bearer scope = "a" , error = "e""#], [nil, "a", "e"]), ([#"Bearer scope="a", scope="b""#], [nil, "a", nil]),
            ([#"Bearer scope="never ends"#], [nil, nil, nil]), (["  ,, Bearer   error=x"], [nil, nil, "x"]),
        ] as [([String], [String?])])
    func reads(fields: [String], expected: [String?]) {
        let challenge = BearerChallenge(fields: fields)
        #expect([challenge?.resourceMetadata, challenge?.scope, challenge?.error] == expected, "\(fields)")
        #expect(challenge != nil)
    }

    @Test(arguments: [[], [""], ["Basic realm=x"], ["\"Bearer\""], [",,,"], ["Bear er"]] as [[String]])
    func noneIsNone(fields: [String]) { #expect(BearerChallenge(fields: fields) == nil) }

    @Test func anyTextEnds() {
        let alphabet = Array("Bearer ,=\"\\ x\t;ü".unicodeScalars)
        for seed in 0..<2000 {
            var random = SeededGenerator(seed: UInt64(seed))
            var text = ""
            for _ in 0..<20 { if let scalar = alphabet.randomElement(using: &random) { text.unicodeScalars.append(scalar) } }
            _ = BearerChallenge(fields: [text])
        }
    }

    @Test func messagesSayWhatToDoAndNameNoToken() {
        let challenge = BearerChallenge(error: "invalid_token", scope: "docs", resourceMetadata: "https://x/meta")
        let none = "\(MCPError.unauthorized(challenge, hasToken: false))"
        #expect(none.contains("--bearer-file") && none.contains("https://x/meta") && none.contains("docs"))
        let old = "\(MCPError.unauthorized(challenge, hasToken: true))"
        #expect(old.contains("invalid_token") && old.contains("new one"))
        #expect(old.contains("--oauth-issuer: a token got for it is refused too"), "who has no token of its own gets no new one")
        #expect("\(MCPError.insufficientScope(challenge))".contains("\"docs\""))
    }
}
