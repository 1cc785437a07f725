/// The parameters of a request's query, decoded. A repeated key is a list; lists are written `key[]`. Keys that a route does not know are ignored,
/// `beta` among them.
package struct Query: Sendable, Equatable {
    private let pairs: [(key: String, value: String)]

    /// - Parameter text: The part of the URL after `?`, as it came.
    package init(_ text: some StringProtocol) {
        pairs = text.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (Self.decoded(parts[0]), parts.count > 1 ? Self.decoded(parts[1]) : "")
        }
    }

    private init(pairs: [(key: String, value: String)]) { self.pairs = pairs }

    /// What is named: `x[]` for a list, which may come as plain `x` too.
    package func only(_ names: [String]) -> Query {
        Query(pairs: pairs.filter { pair in names.contains { $0 == pair.key || $0.dropLast(2) == pair.key && $0.hasSuffix("[]") } })
    }

    package static func == (left: Query, right: Query) -> Bool { left.pairs.elementsEqual(right.pairs, by: ==) }

    package func string(_ key: String) -> String? { pairs.last { $0.key == key }?.value }

    /// The values of `key[]`, and of `key` for clients that repeat it plainly.
    package func list(_ key: String) -> [String] { pairs.filter { $0.key == key + "[]" || $0.key == key }.map(\.value) }

    package func bool(_ key: String) throws(APIError) -> Bool? {
        switch string(key) {
        case nil, "": nil
        case "true", "1": true
        case "false", "0": false
        case let text?: throw .invalid("\(key): \"\(text)\" is not a valid boolean")
        }
    }

    package func int(_ key: String) throws(APIError) -> Int? {
        guard let text = string(key), !text.isEmpty else { return nil }
        guard let value = Int(text) else { throw .invalid("\(key): \"\(text)\" is not a valid integer") }
        return value
    }

    /// With the second validator family's words.
    package func plainInt(_ key: String, _ range: ClosedRange<Int>) throws(APIError) -> Int? {
        guard let text = string(key) else { return nil }
        guard let value = Int(text) else { throw .invalid("\(key): Input should be a valid integer, unable to parse string as an integer") }
        guard value >= range.lowerBound else { throw .invalid("\(key): Input should be greater than or equal to \(range.lowerBound)") }
        guard value <= range.upperBound else { throw .invalid("\(key): Input should be less than or equal to \(range.upperBound)") }
        return value
    }

    /// Page size.
    package func limit(default fallback: Int, maximum: Int) throws(APIError) -> Int {
        guard let value = try int("limit") else { return fallback }
        guard (1...maximum).contains(value) else { throw .invalid("limit: must be between 1 and \(maximum)") }
        return value
    }

    package func choice<Choice: RawRepresentable>(_ key: String, _ type: Choice.Type) throws(APIError) -> Choice? where Choice.RawValue == String {
        guard let text = string(key), !text.isEmpty else { return nil }
        guard let choice = Choice(rawValue: text) else { throw .invalid("\(key): \"\(text)\" is not a valid value") }
        return choice
    }

    /// `key[gt]`, `key[gte]`, `key[lt]` or `key[lte]`.
    package func time(_ key: String, _ bound: String) throws(APIError) -> Timestamp? {
        let name = "\(key)[\(bound)]"
        guard let text = string(name), !text.isEmpty else { return nil }
        // A `+` of an offset that was sent unescaped has become a space.
        guard let time = Timestamp(text) ?? Timestamp(text.replacing(" ", with: "+")) else {
            throw .invalid("\(name): \"\(text)\" is not an RFC 3339 time")
        }
        return time
    }

    /// Percent escapes and `+`. What is no valid escape stays as it is.
    package static func decoded(_ text: some StringProtocol, plusIsSpace: Bool = true) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else { return String(text) }
        var output: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let high = rest.first.flatMap(hex), let low = rest.dropFirst().first.flatMap(hex) {
                output.append(high << 4 | low)
                rest = rest.dropFirst(2)
            } else {
                output.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
