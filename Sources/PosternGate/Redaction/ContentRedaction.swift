import PosternJSON

/// Redacts the content of a result: every string in it, at any depth, keys included. Bytes in base64 (`source` of type `base64`) pass as
/// they are: they are counted by the budgets, and nothing in an image is looked for.
package struct ContentRedaction: Sendable {
    package private(set) var counts = RedactionCounts()
    /// The rule of action `block` that was met; the content may not leave.
    package private(set) var blockedBy: String?

    private let program: RedactionProgram

    package init(_ program: RedactionProgram) { self.program = program }

    package mutating func redact(_ value: JSON) -> JSON {
        switch value {
        case .string(let text): return .string(redact(text))
        case .array(let items): return .array(items.map { redact($0) })
        case .object(let object):
            let isBase64 = object["type"] == "base64" && object["media_type"]?.string != nil
            var result = JSONObject()
            for (key, member) in object {
                result[redact(key)] = isBase64 && key == "data" ? member : redact(member)
            }
            return .object(result)
        case .bigNumber(let digits):
            // A number can be a card's.
            let text = redact(digits)
            return text == digits ? value : .string(text)
        case .int(let number):
            let digits = String(number)
            let text = redact(digits)
            return text == digits ? value : .string(text)
        case .null, .bool, .double: return value
        }
    }

    private mutating func redact(_ text: String) -> String {
        guard blockedBy == nil, !text.isEmpty else { return text }
        let result = Redactor.redact(Array(text.utf8), program)
        counts.add(result.counts)
        if let rule = result.blockedBy { blockedBy = rule }
        return result.counts.isEmpty ? text : String(decoding: result.output, as: UTF8.self)
    }
}
