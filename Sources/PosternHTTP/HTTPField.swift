/// One header field as it came.
package struct HTTPField: Hashable, Sendable {
    /// A token (RFC 9110, section 5.6.2), in the case in which it came.
    package let name: String
    /// `name` in lower case.
    package let key: String
    /// Without white space around it. Bytes from 0x80 on are kept as they are.
    package var value: [UInt8]

    package init(_ name: String, _ value: [UInt8]) {
        self.name = name
        key = name.lowercased()
        self.value = value
    }

    package init(_ name: String, _ value: String) {
        self.init(name, Array(value.utf8))
    }

    /// `key` with a hyphen for each character that some server takes for one: one for all names that somebody may read as the same.
    package var spelling: String { HTTPText.spelling(ofKey: key) }

    /// The value for comparisons and messages; bytes that are no UTF-8 are replaced.
    package var text: String { String(decoding: value, as: UTF8.self) }

    /// Whether the value holds `text`, which is ASCII in lower case, somewhere and in any case.
    package func holds(_ text: String) -> Bool {
        let wanted = Array(text.utf8)
        guard value.count >= wanted.count else { return false }
        return (0...value.count - wanted.count).contains { start in
            wanted.indices.allSatisfy { HTTPText.lowercased(value[start + $0]) == wanted[$0] }
        }
    }

    /// The elements of a comma-separated list, lower case, without white space and without empty ones.
    package var tokens: [String] {
        value.split(separator: UInt8(ascii: ",")).map { String(decoding: HTTPText.trimmed($0), as: UTF8.self).lowercased() }.filter { !$0.isEmpty }
    }
}

/// Header fields in their order.
package struct HTTPFields: Hashable, Sendable {
    package var all: [HTTPField] = []

    package init() {}

    /// The fields called `key` (lower case).
    package func named(_ key: String) -> [HTTPField] { all.filter { $0.key == key } }

    package func contains(_ key: String) -> Bool { all.contains { $0.key == key } }

    private static let overrides: Set<String> = ["x-http-method-override", "x-http-method", "x-method-override", "x-method"]

    /// The first field by which some servers take another method than the one of the request line; `nil` without one.
    package var methodOverride: HTTPField? { all.first { Self.overrides.contains($0.spelling) } }

    package mutating func remove(_ keys: Set<String>) { all.removeAll { keys.contains($0.key) } }

    package mutating func append(_ name: String, _ value: String) { all.append(HTTPField(name, value)) }
}

/// Why a message is refused, with the status that says so.
package struct HTTPRefusal: Error, Hashable, Sendable {
    /// 400 for what is malformed or ambiguous, 431 for what is too large, 501 for what is not spoken here.
    package var status: Int
    package var reason: String

    package init(_ status: Int, _ reason: String) {
        self.status = status
        self.reason = reason
    }

    /// Status 400.
    package init(_ reason: String) { self.init(400, reason) }
}

package enum HTTPText {
    /// `tchar` of RFC 9110, section 5.6.2.
    package static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
            true
        default: "!#$%&'*+.^_`|~".utf8.contains(byte)
        }
    }

    /// One for all spellings that some server takes for the same name of a field.
    package static func spelling(_ name: String) -> String { spelling(ofKey: name.lowercased()) }

    fileprivate static func spelling(ofKey key: String) -> String {
        func isHyphen(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") }
        // Nearly every name is spelled so already.
        guard key.utf8.contains(where: isHyphen) else { return key }
        return String(decoding: key.utf8.map { isHyphen($0) ? UInt8(ascii: "-") : $0 }, as: UTF8.self)
    }

    static func lowercased(_ byte: UInt8) -> UInt8 { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte }

    package static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var bytes = bytes
        while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
        while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
        return bytes
    }

    /// Decimal digits only, at most 18 of them.
    package static func number(_ bytes: some Collection<UInt8>) -> Int? {
        guard (1...18).contains(bytes.count), bytes.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return nil }
        return bytes.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }
}
