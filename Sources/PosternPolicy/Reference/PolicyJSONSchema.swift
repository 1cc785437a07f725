import PosternJSON

extension PolicySchema {
    /// JSON Schema (draft 2020-12) of a policy document, for editors. It is looser than the reader: formats that a regular expression
    /// cannot say are left to `policy check`.
    package static var jsonSchema: JSON {
        var schema: JSONObject = ["$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Postern policy"]
        for (key, value) in SchemaKind.object(document).jsonSchema.object ?? [:] { schema[key] = value }
        return .object(schema)
    }
}

extension SchemaKind {
    fileprivate var jsonSchema: JSON {
        switch self {
        case .text(let format): return format.pattern.map { ["type": "string", "pattern": .string($0)] } ?? ["type": "string"]
        case .integer(let range): return Self.number(range)
        case .boolean: return ["type": "boolean"]
        case .bytes(let range): return ["oneOf": [Self.number(range), ["type": "string", "pattern": #"^[0-9]+([KMGT]iB|[kMGT]?B)$"#]]]
        case .rate(let range): return ["oneOf": [Self.number(range), ["type": "string", "pattern": #"^[0-9]+([KMGT]iB|[kMGT]?B)/s$"#]]]
        case .duration: return ["type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"]
        case .percent: return ["type": "string", "pattern": "^[0-9]+%$"]
        case .choice(let choices): return ["enum": .array(choices.map { .string($0.name) })]
        case .list(let element, let most):
            return ["type": "array", "items": element.jsonSchema, "maxItems": JSON(most), "uniqueItems": true]
        case .oneOrList(let element, let most): return ["anyOf": [element.jsonSchema, SchemaKind.list(element, most: most).jsonSchema]]
        case .map(let key, let value, let most):
            var object: JSONObject = ["type": "object", "additionalProperties": value.jsonSchema, "maxProperties": JSON(most)]
            if let pattern = key.pattern { object["propertyNames"] = ["pattern": .string(pattern)] }
            return .object(object)
        case .object(let fields):
            let properties = fields.map { field -> (String, JSON) in
                var schema = field.kind.jsonSchema.object ?? [:]
                schema["description"] = .string(field.help)
                return (field.name, .object(schema))
            }
            var object: JSONObject = ["type": "object", "properties": .object(JSONObject(properties)), "additionalProperties": false]
            let required = fields.filter(\.isRequired).map { JSON.string($0.name) }
            if !required.isEmpty { object["required"] = .array(required) }
            return .object(object)
        case .bound(let kind): return ["anyOf": [kind.jsonSchema, ["const": .string(SchemaKind.none)]]]
        }
    }

    private static func number(_ range: ClosedRange<Int>) -> JSON {
        var schema: JSONObject = ["type": "integer", "minimum": JSON(range.lowerBound)]
        if range.upperBound < .max { schema["maximum"] = JSON(range.upperBound) }
        return .object(schema)
    }
}
