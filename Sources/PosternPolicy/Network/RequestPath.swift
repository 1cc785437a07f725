/// The path of a request target, split from its query and checked so that client, policy and server read the same path.
package struct RequestPath: Sendable, Hashable {
    /// Begins with `/`; escapes of letters, digits, `-`, `.`, `_` and `~` are undone (RFC 3986, section 6.2.2.2), other escapes are upper case.
    package var path: String
    /// What follows the `?`, as it came; `nil` without one.
    package var query: String?

    /// Reads the path and query of a request target. Refused: bytes outside printable ASCII, `#`, `\`, a broken escape, an escaped control
    /// byte, and dot segments in any disguise (`..`, `%2e%2e`, `..%2f`, `%252e%252e/`, `..;x`), which servers resolve differently.
    package init(target: some Sequence<UInt8>) throws(PolicyValueError) {
        let bytes = Array(target)
        func refuse(_ rule: String) -> PolicyValueError { PolicyValueError(value: String(decoding: bytes, as: UTF8.self), rule: rule) }
        guard bytes.first == UInt8(ascii: "/") else { throw refuse("a request path begins with '/'") }
        guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw refuse("a request target is printable ASCII without spaces and '#'")
        }
        let mark = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.count
        let raw = bytes[..<mark]
        guard !raw.contains(UInt8(ascii: "\\")) else { throw refuse("a path holds no backslash") }
        guard let path = Self.normal(raw) else { throw refuse("a path holds a broken escape or an escaped control byte") }
        guard !Self.hasDotSegments(raw) else { throw refuse("a path holds no dot segments, escaped or not") }
        self.path = String(decoding: path, as: UTF8.self)
        query = mark < bytes.count ? String(decoding: bytes[(mark + 1)...], as: UTF8.self) : nil
    }

    private static func normal(_ raw: ArraySlice<UInt8>) -> [UInt8]? {
        var output: [UInt8] = []
        var index = raw.startIndex
        while index < raw.endIndex {
            guard raw[index] == UInt8(ascii: "%") else {
                output.append(raw[index])
                index += 1
                continue
            }
            guard let byte = escaped(raw, at: index), byte >= 0x20, byte != 0x7F else { return nil }
            if isUnreserved(byte) {
                output.append(byte)
            } else {
                output.append(contentsOf: String(decoding: raw[index..<index + 3], as: UTF8.self).uppercased().utf8)
            }
            index += 3
        }
        return output
    }

    /// Undoes all escapes up to three times, since some servers do so twice, and looks for dot segments each time.
    private static func hasDotSegments(_ raw: ArraySlice<UInt8>) -> Bool {
        var bytes = Array(raw)
        for _ in 0...3 {
            let segments = bytes.split(omittingEmptySubsequences: true) { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }
            for segment in segments {
                // Parameters (";x") are cut off by some servers before they resolve the segment.
                let name = segment.prefix { $0 != UInt8(ascii: ";") }
                if name.elementsEqual(".".utf8) || name.elementsEqual("..".utf8) { return true }
            }
            guard bytes.contains(UInt8(ascii: "%")) else { return false }
            var next: [UInt8] = []
            var index = 0
            while index < bytes.count {
                if bytes[index] == UInt8(ascii: "%"), let byte = escaped(bytes[...], at: index) {
                    next.append(byte)
                    index += 3
                } else {
                    next.append(bytes[index])
                    index += 1
                }
            }
            bytes = next
        }
        return false
    }

    private static func escaped(_ bytes: ArraySlice<UInt8>, at index: Int) -> UInt8? {
        guard index + 2 < bytes.endIndex else { return nil }
        let digits = bytes[(index + 1)...(index + 2)]
        guard digits.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else { return nil }
        return UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
