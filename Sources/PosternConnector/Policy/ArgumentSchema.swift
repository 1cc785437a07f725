import PosternGate
import PosternJSON

/// What the arguments of a tool have to be: a small part of JSON Schema (2020-12), every word of which is held.
package indirect enum ArgumentSchema: Hashable, Sendable {
    case schema(Words)

    package struct Words: Hashable, Sendable {
        package var types: [Kind] = []
        package var properties: [String: ArgumentSchema] = [:]
        package var required: [String] = []
        /// Members that `properties` does not name: `nil` any, else what they have to be.
        package var additional: Additional = .any
        package var allowed: [JSON]?
        package var constant: JSON?
        package var pattern: WholePattern?
        package var minimum: JSON?
        package var maximum: JSON?
        /// In Unicode scalars.
        package var minLength: Int?
        package var maxLength: Int?
        package var items: ArgumentSchema?
        package var minItems: Int?
        package var maxItems: Int?

        package init() {}
    }

    package enum Additional: Hashable, Sendable {
        case any
        case none
        case schema(ArgumentSchema)
    }

    package enum Kind: String, Hashable, Sendable, CaseIterable {
        case null, boolean, integer, number, string, array, object
    }

    /// Where and why `value` does not fit, without repeating any of it; `nil` where it fits.
    package func problem(_ value: JSON, at path: String = "arguments") -> String? {
        guard case .schema(let words) = self else { return nil }
        if !words.types.isEmpty, !words.types.contains(where: { Self.isKind($0, value) }) {
            return "\(path) must be \(words.types.map(\.rawValue).joined(separator: " or "))"
        }
        if let constant = words.constant, !Self.equal(constant, value) { return "\(path) is not the value of \"const\"" }
        if let allowed = words.allowed, !allowed.contains(where: { Self.equal($0, value) }) { return "\(path) is none of the values of \"enum\"" }
        switch value {
        case .string(let text): return Self.problem(text, words, path)
        case .int, .double, .bigNumber: return Self.problem(number: value, words, path)
        case .array(let elements): return Self.problem(elements, words, path)
        case .object(let object): return Self.problem(object, words, path)
        default: return nil
        }
    }

    private static func problem(_ text: String, _ words: Words, _ path: String) -> String? {
        let length = text.unicodeScalars.count
        if let least = words.minLength, length < least { return "\(path) is shorter than \(least) characters" }
        if let most = words.maxLength, length > most { return "\(path) is longer than \(most) characters" }
        if let pattern = words.pattern, !pattern.matches(text) { return "\(path) does not match \"pattern\"" }
        return nil
    }

    private static func problem(number: JSON, _ words: Words, _ path: String) -> String? {
        guard words.minimum != nil || words.maximum != nil else { return nil }
        if let least = words.minimum, compare(number, least) != .above, compare(number, least) != .same { return "\(path) is less than \"minimum\"" }
        if let most = words.maximum, compare(number, most) != .below, compare(number, most) != .same { return "\(path) is more than \"maximum\"" }
        return nil
    }

    private static func problem(_ elements: [JSON], _ words: Words, _ path: String) -> String? {
        if let least = words.minItems, elements.count < least { return "\(path) has fewer than \(least) elements" }
        if let most = words.maxItems, elements.count > most { return "\(path) has more than \(most) elements" }
        guard let items = words.items else { return nil }
        for (index, element) in elements.enumerated() {
            if let problem = items.problem(element, at: "\(path)[\(index)]") { return problem }
        }
        return nil
    }

    private static func problem(_ object: JSONObject, _ words: Words, _ path: String) -> String? {
        // A server that does not tell case apart would read the look-alike as the property, past its schema.
        if FoldedName.lookAlike(in: object, of: Set(words.properties.keys).union(words.required)) != nil {
            return "\(path) has a member that is called like a property, in another case"
        }
        for name in words.required where object[name] == nil { return "\(path) lacks \"\(name)\"" }
        for (key, value) in object {
            if let schema = words.properties[key] {
                if let problem = schema.problem(value, at: "\(path).\(key)") { return problem }
                continue
            }
            switch words.additional {
            case .any: break
            case .none: return "\(path) has a member that \"properties\" does not name"
            // Not the member's name: the caller chose it.
            case .schema(let schema): if let problem = schema.problem(value, at: "\(path).*") { return problem }
            }
        }
        return nil
    }

    private static func isKind(_ kind: Kind, _ value: JSON) -> Bool {
        switch (kind, value) {
        case (.null, .null), (.boolean, .bool), (.string, .string), (.array, .array), (.object, .object): true
        case (.number, .int), (.number, .double), (.number, .bigNumber), (.integer, .int): true
        // A number without a fraction is an integer, however it is written.
        case (.integer, .double(let number)): number.rounded() == number
        case (.integer, .bigNumber(let text)): text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == UInt8(ascii: "-") }
        default: false
        }
    }

    private enum Order { case below, same, above, unknown }

    /// Exact for whole numbers of 64 bits; where a number fits neither them nor a double, nothing is said of it, and it passes no bound.
    private static func compare(_ left: JSON, _ right: JSON) -> Order {
        if case .int(let left) = left, case .int(let right) = right { return left < right ? .below : left == right ? .same : .above }
        guard let left = left.double, let right = right.double, left.isFinite, right.isFinite else { return .unknown }
        return left < right ? .below : left == right ? .same : .above
    }

    /// Equality of JSON Schema: numbers by their value, texts by their scalars.
    private static func equal(_ left: JSON, _ right: JSON) -> Bool {
        switch (left, right) {
        case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
        case (.array(let left), .array(let right)): left.count == right.count && zip(left, right).allSatisfy { equal($0, $1) }
        case (.object(let left), .object(let right)):
            left.count == right.count
                && left.allSatisfy { pair in
                    guard let index = right.keys.firstIndex(where: { $0.utf8.elementsEqual(pair.key.utf8) }) else { return false }
                    return equal(pair.value, right.values[index])
                }
        case (.int, .double), (.double, .int): compare(left, right) == .same
        default: left == right
        }
    }
}
