/// A request's path. Interpolated values are percent-encoded as one segment each, so an id can never change the route:
/// `"/v1/sessions/\(id)/events"`.
package struct RequestPath: Sendable, Equatable, ExpressibleByStringInterpolation {
    package private(set) var text: String
    /// Path parameters must not be empty (contract, section 2).
    package private(set) var hasEmptyParameter = false

    package init(stringLiteral value: String) { text = value }

    package init(stringInterpolation: StringInterpolation) {
        text = stringInterpolation.text
        hasEmptyParameter = stringInterpolation.hasEmptyParameter
    }

    /// A path that the user wrote, already encoded.
    package init(verbatim text: String) { self.text = text }

    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""
        fileprivate var hasEmptyParameter = false

        package init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity + 32 * interpolationCount) }

        package mutating func appendLiteral(_ literal: String) { text += literal }

        package mutating func appendInterpolation(_ segment: String) {
            if segment.isEmpty { hasEmptyParameter = true }
            text += segment.allSatisfy({ $0 == "." }) ? segment.map { _ in "%2E" }.joined() : PercentEncoding.encode(segment)
        }
    }
}

/// RFC 3986 percent-encoding; only unreserved characters stay as they are.
package enum PercentEncoding {
    package static func encode(_ text: String) -> String {
        var output: [UInt8] = []
        output.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                output.append(byte)
            default:
                output.append(UInt8(ascii: "%"))
                output.append(hexDigits[Int(byte >> 4)])
                output.append(hexDigits[Int(byte & 15)])
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// `nil` for a broken escape or bytes that are not UTF-8.
    package static func decode(_ text: Substring) -> String? {
        var output: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                output.append(byte)
                continue
            }
            guard let high = bytes.popFirst().flatMap(hexValue), let low = bytes.popFirst().flatMap(hexValue) else { return nil }
            output.append(high << 4 | low)
        }
        return String(validating: output, as: UTF8.self)
    }

    private static let hexDigits = Array("0123456789ABCDEF".utf8)

    private static func hexValue(_ byte: UInt8) -> UInt8? { Character(Unicode.Scalar(byte)).hexDigitValue.map(UInt8.init) }
}
