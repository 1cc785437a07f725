/// Why a text is not acceptable JSON, and where.
package struct JSONParseError: Error, Equatable, CustomStringConvertible {
    /// Byte offset of the first byte that does not fit, from 0.
    package var offset: Int
    package var reason: String

    package init(offset: Int, reason: String) {
        self.offset = offset
        self.reason = reason
    }

    package var description: String { "invalid JSON at byte \(offset): \(reason)" }
}

extension JSON {
    package struct ParseOptions: Sendable {
        /// Arrays and objects inside one another; a deeper text is refused, so that no input can exhaust the stack.
        package var maximumDepth = 128
        /// Refuse `\ud800` without its other half instead of reading it as U+FFFD.
        package var rejectsLoneSurrogates = false
        /// Values in all, each member and element counted: a short text of many small values takes many times its length in memory.
        package var maximumValues = Int.max

        package init(maximumDepth: Int = 128, rejectsLoneSurrogates: Bool = false, maximumValues: Int = .max) {
            self.maximumDepth = maximumDepth
            self.rejectsLoneSurrogates = rejectsLoneSurrogates
            self.maximumValues = maximumValues
        }
    }

    /// Reads one JSON text (RFC 8259): strict UTF-8, no repeated keys, nothing after the value but white space.
    package init(parsing bytes: some Sequence<UInt8>, options: ParseOptions = .init()) throws(JSONParseError) {
        let result =
            bytes.withContiguousStorageIfAvailable { buffer in
                Self.parse(buffer, options)
            } ?? Array(bytes).withUnsafeBufferPointer { Self.parse($0, options) }
        self = try result.get()
    }

    package init(parsing text: String, options: ParseOptions = .init()) throws(JSONParseError) {
        try self.init(parsing: text.utf8, options: options)
    }

    private static func parse(_ buffer: UnsafeBufferPointer<UInt8>, _ options: ParseOptions) -> Result<JSON, JSONParseError> {
        var parser = Parser(bytes: buffer, options: options)
        do throws(JSONParseError) {
            let value = try parser.value(depth: 0)
            parser.skipSpace()
            guard parser.position == buffer.count else { throw parser.error("unexpected data after the value") }
            return .success(value)
        } catch {
            return .failure(error)
        }
    }
}

private struct Parser {
    let bytes: UnsafeBufferPointer<UInt8>
    let options: JSON.ParseOptions
    var position = 0
    /// How many more values there may be.
    private var valuesLeft: Int

    init(bytes: UnsafeBufferPointer<UInt8>, options: JSON.ParseOptions) {
        self.bytes = bytes
        self.options = options
        valuesLeft = options.maximumValues
    }

    func error(_ reason: String) -> JSONParseError { JSONParseError(offset: position, reason: reason) }

    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    mutating func value(depth: Int) throws(JSONParseError) -> JSON {
        skipSpace()
        guard position < bytes.count else { throw error("unexpected end") }
        guard valuesLeft > 0 else { throw error("more than \(options.maximumValues) values") }
        valuesLeft -= 1
        switch bytes[position] {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw error("unexpected character")
        }
    }

    private mutating func literal(_ text: StaticString, _ value: JSON) throws(JSONParseError) -> JSON {
        let length = text.utf8CodeUnitCount
        guard position + length <= bytes.count else { throw error("unexpected end") }
        for index in 0..<length where bytes[position + index] != text.utf8Start[index] { throw error("unexpected character") }
        position += length
        return value
    }

    private mutating func array(depth: Int) throws(JSONParseError) -> JSON {
        guard depth < options.maximumDepth else { throw error("nested deeper than \(options.maximumDepth) levels") }
        position += 1
        var elements: [JSON] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            if take(UInt8(ascii: "]")) { return .array(elements) }
            throw error("expected ',' or ']'")
        }
    }

    private mutating func object(depth: Int) throws(JSONParseError) -> JSON {
        guard depth < options.maximumDepth else { throw error("nested deeper than \(options.maximumDepth) levels") }
        position += 1
        var keys: [String] = []
        var values: [JSON] = []
        var seen: Set<String> = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(JSONObject()) }
        while true {
            skipSpace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { throw error("expected a key") }
            let key = try string()
            // A scan is quickest for the usual handful of keys; a set keeps a hostile object of many keys linear.
            let repeated =
                keys.count < 16
                ? keys.contains(key)
                : {
                    if seen.isEmpty { seen = Set(keys) }; return !seen.insert(key).inserted
                }()
            if repeated { throw error("key \"\(key)\" repeats") }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error("expected ':'") }
            keys.append(key)
            values.append(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            if take(UInt8(ascii: "}")) { return .object(JSONObject(uniqueKeys: keys, values: values)) }
            throw error("expected ',' or '}'")
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func number() throws(JSONParseError) -> JSON {
        let start = position
        var isInteger = true
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        guard position < bytes.count else { throw error("unexpected end") }
        if take(UInt8(ascii: "0")) {
        } else if digits() == 0 {
            throw error("expected a digit")
        }
        if take(UInt8(ascii: ".")) {
            isInteger = false
            if digits() == 0 { throw error("expected a digit") }
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            position += 1
            if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") { position += 1 }
            if digits() == 0 { throw error("expected a digit") }
        }
        let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        if isInteger {
            if let value = Int64(text), text != "-0" { return .int(value) }
            if text != "-0" { return .bigNumber(text) }
        }
        // More than 17 significant digits, or a magnitude beyond the type, would not come back as they were.
        guard text.utf8.count <= 24, let value = Double(text), value.isFinite else { return .bigNumber(text) }
        return .double(value)
    }

    private mutating func digits() -> Int {
        let start = position
        while position < bytes.count, bytes[position] >= UInt8(ascii: "0"), bytes[position] <= UInt8(ascii: "9") { position += 1 }
        return position - start
    }

    private mutating func string() throws(JSONParseError) -> String {
        position += 1
        let start = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                let text = try utf8(start..<position)
                position += 1
                return text
            }
            if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
            if byte < 0x20 { throw error("unescaped control character in a string") }
            position += 1
        }
        throw error("unterminated string")
    }

    private func utf8(_ range: Range<Int>) throws(JSONParseError) -> String {
        guard let text = String(validating: UnsafeBufferPointer(rebasing: bytes[range]), as: UTF8.self) else {
            throw JSONParseError(offset: range.lowerBound, reason: "string is not valid UTF-8")
        }
        return text
    }

    private mutating func escapedString(from start: Int) throws(JSONParseError) -> String {
        var text = try utf8(start..<position)
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return text
            case UInt8(ascii: "\\"):
                position += 1
                guard position < bytes.count else { throw error("unterminated string") }
                let escape = bytes[position]
                position += 1
                switch escape {
                case UInt8(ascii: "\""): text.append("\"")
                case UInt8(ascii: "\\"): text.append("\\")
                case UInt8(ascii: "/"): text.append("/")
                case UInt8(ascii: "b"): text.append("\u{08}")
                case UInt8(ascii: "f"): text.append("\u{0C}")
                case UInt8(ascii: "n"): text.append("\n")
                case UInt8(ascii: "r"): text.append("\r")
                case UInt8(ascii: "t"): text.append("\t")
                case UInt8(ascii: "u"): text.unicodeScalars.append(try unicodeEscape())
                default: throw error("unknown escape")
                }
            case 0..<0x20: throw error("unescaped control character in a string")
            default:
                let run = position
                while position < bytes.count, bytes[position] >= 0x20, bytes[position] != UInt8(ascii: "\""),
                    bytes[position] != UInt8(ascii: "\\")
                { position += 1 }
                text += try utf8(run..<position)
            }
        }
        throw error("unterminated string")
    }

    private mutating func unicodeEscape() throws(JSONParseError) -> Unicode.Scalar {
        let first = try hex4()
        if let scalar = Unicode.Scalar(UInt32(first)) { return scalar }
        if first < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u") {
            let mark = position
            position += 2
            let second = try hex4()
            if (0xDC00...0xDFFF).contains(second),
                let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
            {
                return scalar
            }
            position = mark
        }
        guard !options.rejectsLoneSurrogates else { throw error("lone surrogate in a string") }
        return "\u{FFFD}"
    }

    private mutating func hex4() throws(JSONParseError) -> UInt16 {
        guard position + 4 <= bytes.count else { throw error("unterminated string") }
        var value: UInt16 = 0
        for _ in 0..<4 {
            let digit: UInt8
            switch bytes[position] {
            case let byte where byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case let byte where byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "f"): digit = (byte | 0x20) - UInt8(ascii: "a") + 10
            default: throw error("expected four hexadecimal digits")
            }
            value = value << 4 | UInt16(digit)
            position += 1
        }
        return value
    }
}
