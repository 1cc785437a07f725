/// A JSON value (RFC 8259) that keeps the order of keys and every digit of a number, so that what Postern does not know survives
/// a round trip. No Foundation: `postern-init` links it into a static binary.
package enum JSON: Sendable, Hashable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    /// A number that neither `Int64` nor `Double` holds exactly enough to be given back as it came; its source text.
    case bigNumber(String)
    case string(String)
    case array([JSON])
    case object(JSONObject)
}

extension JSON {
    package var isNull: Bool { self == .null }

    package var string: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    package var bool: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    /// The value as an integer; a double with no fraction counts, since some encoders write `3.0`.
    package var int: Int? {
        switch self {
        case .int(let value): Int(exactly: value)
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    package var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        case .bigNumber(let text): Double(text)
        default: nil
        }
    }

    package var array: [JSON]? {
        guard case .array(let value) = self else { return nil }
        return value
    }

    package var object: JSONObject? {
        guard case .object(let value) = self else { return nil }
        return value
    }

    /// The member of an object; `nil` when this is no object or has no such key. A present `null` is `.null`.
    package subscript(key: String) -> JSON? { object?[key] }

    /// The JSON name of the value's kind, for error messages.
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .int, .double, .bigNumber: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}

// Not by nil: `object[key] = condition ? nil : value` would then store a null instead of removing the key.
extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .int(value) }
    package init(floatLiteral value: Double) { self = .double(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: JSON...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSON)...) { self = .object(JSONObject(elements)) }

    package init(_ value: Int) { self = .int(Int64(value)) }
    /// `.null` for `nil`.
    package init(_ value: String?) { self = value.map(JSON.string) ?? .null }
}
