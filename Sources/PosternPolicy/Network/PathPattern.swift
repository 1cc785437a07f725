import PosternJSON

/// Which paths a rule means, as a glob over the normal form of a path: `*` is any run of characters but `/`, `**` any run with them,
/// `?` one character but `/`. A pattern has no other special characters.
package struct PathPattern: Sendable, Hashable, CustomStringConvertible {
    private enum Token: Sendable, Hashable {
        case byte(UInt8)
        case one
        case run
        case any
    }
    package let description: String
    private let tokens: [Token]

    /// Must begin with `/`; at most 1,000 bytes, no `?query`, no `#`.
    package init(_ text: String) throws(PolicyValueError) {
        let bytes = Array(text.utf8)
        guard bytes.first == UInt8(ascii: "/") || text == "**" else {
            throw PolicyValueError(value: text, rule: "a path begins with '/'", remedy: "write /\(text)")
        }
        guard bytes.count <= 1000, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw PolicyValueError(value: text, rule: "a path has at most 1000 bytes of printable ASCII without '#'", remedy: "use % escapes")
        }
        description = text
        var tokens: [Token] = []
        for byte in bytes {
            switch (byte, tokens.last) {
            case (UInt8(ascii: "*"), .run): tokens[tokens.count - 1] = .any
            case (UInt8(ascii: "*"), .any): break
            case (UInt8(ascii: "*"), _): tokens.append(.run)
            case (UInt8(ascii: "?"), _): tokens.append(.one)
            default: tokens.append(.byte(byte))
            }
        }
        self.tokens = tokens
    }

    /// Whether `path`, in its normal form and without query, is meant. Linear in path times pattern.
    package func covers(_ path: String) -> Bool {
        // reached[i]: the first i tokens can match what was read so far.
        var reached = [Bool](repeating: false, count: tokens.count + 1)
        reached[0] = true
        close(&reached)
        for byte in path.utf8 {
            var next = [Bool](repeating: false, count: tokens.count + 1)
            for (index, token) in tokens.enumerated() where reached[index] {
                switch token {
                case .byte(let own): if own == byte { next[index + 1] = true }
                case .one: if byte != UInt8(ascii: "/") { next[index + 1] = true }
                case .run: if byte != UInt8(ascii: "/") { next[index] = true }
                case .any: next[index] = true
                }
            }
            close(&next)
            reached = next
        }
        return reached[tokens.count]
    }

    /// Stars may also match nothing.
    private func close(_ reached: inout [Bool]) {
        for (index, token) in tokens.enumerated() where reached[index] && (token == .run || token == .any) { reached[index + 1] = true }
    }

    package init(json: JSON) throws(PolicyValueError) { try self.init(try FieldReader.text(json)) }

    package var json: JSON { .string(description) }
}
