extension JSON {
    /// The text of RFC 8785 (JSON Canonicalization Scheme), over which digests are made: no white space, members sorted by the
    /// UTF-16 code units of their keys, numbers as ECMAScript writes them.
    package var canonical: [UInt8] {
        var output: [UInt8] = []
        sorted.write(to: &output)
        return output
    }

    private var sorted: JSON {
        switch self {
        case .array(let elements): .array(elements.map(\.sorted))
        case .object(let object): .object(Self.sorted(object))
        case .double(let value): .bigNumber(Self.ecmaScriptNumber(value))
        case .bigNumber(let text): Double(text).map { $0.isFinite ? .bigNumber(Self.ecmaScriptNumber($0)) : self } ?? self
        default: self
        }
    }

    /// Its keys are there once already: to look for each of them among the others would take the square of their number.
    private static func sorted(_ object: JSONObject) -> JSONObject {
        let members = object.map { ($0.key, $0.value.sorted) }.sorted { $0.0.utf16.lexicographicallyPrecedes($1.0.utf16) }
        return JSONObject(uniqueKeys: members.map(\.0), values: members.map(\.1))
    }

    /// ECMAScript's `Number::toString` (ECMA-262, 6.1.6.1.20), which RFC 8785, section 3.2.2.3 prescribes.
    private static func ecmaScriptNumber(_ value: Double) -> String {
        if value == 0 { return "0" }
        var text = value.magnitude.description  // shortest digits that round-trip, like ECMAScript's
        var exponent = 0
        if let mark = text.firstIndex(of: "e") {
            exponent = Int(text[text.index(after: mark)...]) ?? 0
            text = String(text[..<mark])
        }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        var digits = String(parts[0]) + (parts.count > 1 ? String(parts[1]) : "")
        var point = parts[0].count + exponent  // value = 0.DIGITS × 10^point
        let leading = digits.prefix { $0 == "0" }.count
        digits.removeFirst(leading)
        point -= leading
        while digits.last == "0" { digits.removeLast() }
        let count = digits.count
        let body: String
        if count <= point, point <= 21 {
            body = digits + String(repeating: "0", count: point - count)
        } else if point > 0, point <= 21 {
            body = digits.prefix(point) + "." + digits.dropFirst(point)
        } else if point > -6, point <= 0 {
            body = "0." + String(repeating: "0", count: -point) + digits
        } else {
            let mantissa = count == 1 ? digits : digits.prefix(1) + "." + digits.dropFirst()
            body = mantissa + "e" + (point > 0 ? "+" : "-") + String((point - 1).magnitude)
        }
        return (value < 0 ? "-" : "") + body
    }
}
