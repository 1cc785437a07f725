import PosternJSON

/// The `Mcp-Param-*` fields of a tool (2026-07-28, transports, "Custom headers"): arguments that its schema marks with `x-mcp-header` are repeated
/// in the head of a call, so that whoever routes it need not read the body.
package struct ToolHeaders: Sendable, Equatable {
    /// Why a schema's marks are refused: such a tool is not called, since its fields could say something else than its arguments.
    package struct Invalid: Error, Sendable, Equatable, CustomStringConvertible {
        package var description: String
    }

    /// Where a marked argument is, and what follows `Mcp-Param-` in its field's name.
    private struct Mark: Sendable, Equatable {
        var path: [String]
        var token: String
    }

    /// Deepest level of a schema that is read, which is JSON of the peer.
    private static let maximumDepth = 100
    private static let single: Set<String> = [
        "items", "contains", "unevaluatedItems", "additionalProperties", "propertyNames", "unevaluatedProperties", "not", "if", "then", "else",
        "contentSchema",
    ]
    private static let lists: Set<String> = ["allOf", "anyOf", "oneOf", "prefixItems"]
    private static let maps: Set<String> = ["patternProperties", "dependentSchemas", "$defs", "definitions"]

    private var marks: [Mark] = []

    /// Reads a tool's `inputSchema`. A mark may be at a text, whole number or boolean that is reached by `properties` alone, and each name once.
    package init(inputSchema: JSON) throws(Invalid) {
        try read(inputSchema, path: [], depth: 0)
        var names: Set<String> = []
        for mark in marks where !names.insert(mark.token.lowercased()).inserted {
            throw Invalid(description: "two arguments are marked with x-mcp-header \(mark.token)")
        }
    }

    /// `path`: the properties that lead to `schema`; nil below any other keyword.
    private mutating func read(_ schema: JSON, path: [String]?, depth: Int) throws(Invalid) {
        guard let object = schema.object else { return }
        guard depth <= Self.maximumDepth else { throw Invalid(description: "the schema is nested deeper than \(Self.maximumDepth) levels") }
        if let mark = object["x-mcp-header"] { try add(mark, object, path) }
        for (keyword, value) in object {
            if keyword == "properties" {
                for (name, sub) in value.object ?? [:] { try read(sub, path: path.map { $0 + [name] }, depth: depth + 1) }
            } else if Self.single.contains(keyword) {
                try read(value, path: nil, depth: depth + 1)
            } else if Self.lists.contains(keyword) {
                for sub in value.array ?? [] { try read(sub, path: nil, depth: depth + 1) }
            } else if Self.maps.contains(keyword) {
                for (_, sub) in value.object ?? [:] { try read(sub, path: nil, depth: depth + 1) }
            }
        }
    }

    private mutating func add(_ mark: JSON, _ schema: JSONObject, _ path: [String]?) throws(Invalid) {
        guard let path, !path.isEmpty else { throw Invalid(description: "x-mcp-header stands where no argument is reached by properties alone") }
        let place = path.joined(separator: ".")
        guard let token = mark.string, Self.isToken(token) else {
            throw Invalid(description: "x-mcp-header of \(place) is no name of a header field")
        }
        guard let type = schema["type"]?.string, ["string", "integer", "boolean"].contains(type) else {
            throw Invalid(description: "x-mcp-header of \(place) marks something other than a string, an integer or a boolean")
        }
        marks.append(Mark(path: path, token: token))
    }

    /// The fields of a call with these arguments. An argument that is missing, null or no scalar has none.
    package func fields(arguments: JSONObject) -> [(name: String, value: String)] {
        marks.compactMap { mark in
            var value: JSON? = .object(arguments)
            for key in mark.path { value = value?[key] }
            guard let text = value.flatMap(Self.text) else { return nil }
            return (name: "Mcp-Param-\(mark.token)", value: HeaderValue.encode(text))
        }
    }

    private static func text(_ value: JSON) -> String? {
        switch value {
        case .bool(let value): value ? "true" : "false"
        case .string(let value): value
        case .int, .double, .bigNumber: value.text
        case .null, .array, .object: nil
        }
    }

    /// A field's name (RFC 9110, section 5.6.2).
    private static func isToken(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy { tokenBytes.contains($0) } }

    private static let tokenBytes = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
}
