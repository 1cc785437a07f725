import PosternJSON
import Testing

@Suite("JSON") struct JSONTests {
    @Test(
        "Valid texts come back as they were",
        arguments: [
            "null", "true", "false", "0", "-1", "9223372036854775807", "18446744073709551616", "1.5", "\"\"", "[]", "{}", "[1,[2,{\"a\":null}]]",
            #"{"b":1,"a":"x\n\"\\","ü":"😀"}"#, "123456789012345678901234567890.5",
        ]) func roundTrip(text: String) throws
    {
        #expect(try JSON(parsing: text).text == text)
    }

    @Test(
        "Invalid texts are refused",
        arguments: [
            "", " ", "nul", "tru", "01", "1.", ".5", "1e", "+1", "--1", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{,}", "{\"a\":1,}", "{a:1}",
            "\"",
            "\"\\x\"", "\"\\u12\"", "\"\u{01}\"", "[1]]", "1 2", "'a'", "NaN", "Infinity", "{\"a\":1,\"a\":2}", "{\"\\u0061\":1,\"a\":2}",
        ]) func refused(text: String)
    {
        #expect(throws: JSONParseError.self) { try JSON(parsing: text) }
    }

    @Test("Invalid UTF-8 is refused") func utf8() {
        for bytes: [UInt8] in [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xE2, 0x82, 0x22]] {
            #expect(throws: JSONParseError.self) { try JSON(parsing: bytes) }
        }
    }

    @Test("Escapes and surrogates") func escapes() throws {
        #expect(try JSON(parsing: #""\ud83d\ude00\u00e9\/""#) == .string("😀é/"))
        #expect(try JSON(parsing: #""a\ud83dz""#) == .string("a\u{FFFD}z"))
        #expect(throws: JSONParseError.self) { try JSON(parsing: #""\ud83d""#, options: .init(rejectsLoneSurrogates: true)) }
    }

    @Test("Depth is bounded") func depth() throws {
        let deep = String(repeating: "[", count: 128) + String(repeating: "]", count: 128)
        #expect(throws: Never.self) { try JSON(parsing: deep) }
        #expect(throws: JSONParseError.self) { try JSON(parsing: "[" + deep + "]") }
    }

    @Test("An object of many keys is read in linear time, repeats found") func manyKeys() throws {
        let members = (0..<20_000).map { "\"k\($0)\":\($0)" }
        #expect(try JSON(parsing: "{" + members.joined(separator: ",") + "}").object?.count == 20_000)
        #expect(throws: JSONParseError.self) { try JSON(parsing: "{" + (members + ["\"k7\":0"]).joined(separator: ",") + "}") }
    }

    @Test("Objects are equal whatever their order, and keep it") func objects() throws {
        let left = try JSON(parsing: #"{"a":1,"b":2}"#)
        let right = try JSON(parsing: #"{"b":2,"a":1}"#)
        #expect(left == right && left.hashValue == right.hashValue && left.text != right.text)
        var object = try #require(left.object)
        object["a"] = nil
        object["c"] = .null
        #expect(JSON.object(object).text == #"{"b":2,"c":null}"#)
    }

    /// RFC 8785, section 3.2.2 and appendix B.
    @Test(
        "Canonical numbers and order",
        arguments: [
            (
                #"{"b":1,"a":[1.0,1e21,1e-7,0.000001,123456789012345680000,5e-324,-0.0,4.5]}"#,
                #"{"a":[1,1e+21,1e-7,0.000001,123456789012345680000,5e-324,0,4.5],"b":1}"#
            ),
            (#"{"\u20ac":1,"\r":2,"1":3,"😀":4,"\ufb33":5}"#, "{\"\\r\":2,\"1\":3,\"€\":1,\"😀\":4,\"\u{fb33}\":5}"),
            (#"[333333333.33333329,1E30,2e-3,1e23]"#, #"[333333333.3333333,1e+30,0.002,1e+23]"#),
        ]) func canonical(text: String, expected: String) throws
    {
        #expect(String(decoding: try JSON(parsing: text).canonical, as: UTF8.self) == expected)
    }

    /// With one look through all keys for each key this would not end within the run's patience.
    @Test("The canonical text of very many members is made in one go") func manyMembers() throws {
        let text = "{" + (100_000..<200_000).map { "\"k\($0)\":0" }.joined(separator: ",") + "}"
        let canonical = try JSON(parsing: text).canonical
        #expect(canonical == Array(text.utf8))
    }

    @Test("Random values survive writing and reading", arguments: 0..<20) func random(seed: UInt64) throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            let value = Self.value(depth: 0, &random)
            #expect(try JSON(parsing: value.encoded) == value)
            #expect(try JSON(parsing: value.canonical).canonical == value.canonical)
        }
    }

    private static func value(depth: Int, _ random: inout some RandomNumberGenerator) -> JSON {
        switch Int.random(in: 0..<(depth > 3 ? 5 : 7), using: &random) {
        case 0: .null
        case 1: .bool(.random(using: &random))
        case 2: .int(.random(in: .min ... .max, using: &random))
        case 3: .double(Double.random(in: -1e10...1e10, using: &random) + 0.5)
        case 4: .string(String((0..<8).map { _ in "a\"\\\n\u{0}é😀/".randomElement(using: &random) ?? "x" }))
        case 5: .array((0..<3).map { _ in value(depth: depth + 1, &random) })
        default: .object(JSONObject((0..<3).map { ("k\($0)é", value(depth: depth + 1, &random)) }))
        }
    }
}

@Suite struct JSONValueBoundTests {
    @Test func countsEachValue() throws {
        let text = #"[1,{"a":[2,3]},"x"]"#
        #expect(try JSON(parsing: text, options: .init(maximumValues: 7)).array?.count == 3)
        let error = #expect(throws: JSONParseError.self) { try JSON(parsing: text, options: .init(maximumValues: 6)) }
        #expect(error?.reason == "more than 6 values")
    }
}
