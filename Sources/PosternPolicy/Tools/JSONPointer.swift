import PosternJSON

/// The way to a value inside a JSON document (RFC 6901).
package struct JSONPointer: Sendable, Hashable, CustomStringConvertible {
    package let description: String
    let tokens: [String]

    /// At most 256 characters.
    package init(_ text: String) throws(PolicyValueError) {
        guard text.isEmpty || text.hasPrefix("/"), text.unicodeScalars.count <= 256 else {
            throw PolicyValueError(value: text, rule: "must be a JSON pointer (RFC 6901) of at most 256 characters", remedy: "write /\(text)")
        }
        var tokens: [String] = []
        for part in text.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let pieces = part.split(separator: "~", omittingEmptySubsequences: false)
            guard pieces.dropFirst().allSatisfy({ $0.hasPrefix("0") || $0.hasPrefix("1") }) else {
                throw PolicyValueError(value: text, rule: "has a ~ that is neither ~0 nor ~1", remedy: "write ~0 for ~ and ~1 for /")
            }
            tokens.append(String(part).replacing("~1", with: "/").replacing("~0", with: "~"))
        }
        description = text
        self.tokens = tokens
    }

    /// The value there; `nil` where there is none.
    package func value(in document: JSON) -> JSON? {
        var value = document
        for token in tokens {
            switch value {
            case .object(let object):
                guard let next = object[token] else { return nil }
                value = next
            case .array(let elements):
                let isNumber = token == "0" || !token.isEmpty && !token.hasPrefix("0") && token.utf8.allSatisfy { 0x30...0x39 ~= $0 }
                guard isNumber, let index = Int(token), elements.indices.contains(index) else { return nil }
                value = elements[index]
            default: return nil
            }
        }
        return value
    }
}
