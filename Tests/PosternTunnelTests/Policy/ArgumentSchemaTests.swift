import PosternJSON
import Testing

@testable import PosternConnector

@Suite("Schemas of arguments")
struct ArgumentSchemaTests {
    private static func schema(_ text: String) throws -> ArgumentSchema {
        try #require(try PolicyDocument.policy("arguments: {t: \(text)}").rules.arguments["t"])
    }

    @Test(
        "hold each of their words",
        arguments: [
            ("{}", [#"1"#, #"{"a":1}"#, "null"], []), ("{type: string}", [#""a""#], ["1", "null", "[]", "{}", "true"]),
            ("{type: integer}", ["1", "1.0", "-3", "1e2", "123456789012345678901234567890"], ["1.5", #""1""#, "1e-1"]),
            ("{type: number}", ["1", "1.5", "1e400"], [#""1""#, "true"]), ("{type: [string, null]}", [#""a""#, "null"], ["1"]),
            ("{type: boolean}", ["true", "false"], ["0", "null", #""true""#]), ("{type: array}", ["[]"], ["{}"]),
            ("{type: \"null\"}", ["null"], ["0", "false"]),
            ("{const: null}", ["null"], ["0", #""""#]), ("{const: 1}", ["1", "1.0"], ["true", #""1""#, "1.1"]),
            ("{const: {a: [1]}}", [#"{"a":[1.0]}"#], [#"{"a":[2]}"#, #"{"a":[1],"b":1}"#]),
            ("{enum: [a, 2, null]}", [#""a""#, "2", "null"], [#""A""#, "3", "false"]), ("{const: \"\\u00e9\"}", [#""\u00e9""#], [#""e\u0301""#]),
            ("{type: number, minimum: 1, maximum: 2.5}", ["1", "2.5", "2"], ["0.99", "2.6", "1e400", "-1e400", "123456789012345678901234567890"]),
            ("{type: integer, maximum: 9007199254740993}", ["9007199254740993"], ["9007199254740994"]),
            ("{type: string, minLength: 2, maxLength: 3}", [#""ab""#, #""äöü""#, #""\ud83d\ude00a""#], [#""a""#, #""abcd""#, #""""#]),
            ("{type: string, pattern: \"^[a-c]+$\"}", [#""abc""#], [#""abd""#, #""abc\n""#, #""""#]),
            ("{type: array, items: {type: integer}, minItems: 1, maxItems: 2}", ["[1]", "[1,2]"], ["[]", "[1,2,3]", #"["a"]"#]),
            (
                "{type: object, properties: {a: {type: integer}}, required: [a, b]}", [#"{"a":1,"b":null}"#, #"{"a":1,"b":1,"c":1}"#],
                [#"{"a":1}"#, #"{"a":"1","b":1}"#, #"{"a":1,"b":1,"A":2}"#, #"{"A":1,"a":1,"b":2}"#, #"{"B":1,"a":1}"#]
            ),
            (
                "{type: object, properties: {a: {}}, additionalProperties: false}", ["{}", #"{"a":1}"#],
                [#"{"b":1}"#, #"{"a":1,"b":1}"#, #"{"\u0041":1}"#]
            ),
            ("{type: object, additionalProperties: {type: string}}", ["{}", #"{"x":"a"}"#], [#"{"x":1}"#, #"{"x":"a","y":[]}"#]),
            ("{type: object, properties: {k: {type: string}}}", [#"{"k":"a"}"#], [#"{"\u212a":1}"#, #"{"K":1}"#]),
        ])
    func words(_ schema: String, _ good: [String], _ bad: [String]) throws {
        let schema = try Self.schema(schema)
        for text in good { #expect(try schema.problem(JSON(parsing: text)) == nil, "\(text)") }
        for text in bad { #expect(try schema.problem(JSON(parsing: text)) != nil, "\(text)") }
    }

    @Test("say where a value does not fit, and nothing of it")
    func problems() throws {
        let schema = try Self.schema(
            "{type: object, properties: {a: {type: array, items: {type: string, maxLength: 3}}}, additionalProperties: {type: integer}}")
        #expect(try schema.problem(JSON(parsing: #"{"a":["x","canary"]}"#)) == "arguments.a[1] is longer than 3 characters")
        #expect(try schema.problem(JSON(parsing: #"{"canary":"x"}"#))?.contains("canary") == false)
    }
}
