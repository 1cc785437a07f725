/// File names as text that can be printed, logged and put into JSON: they may be any bytes.
package enum NameText {
    /// The bytes as UTF-8; what is not, and control characters, as `\xNN`. A backslash is doubled.
    package static func of(_ name: [UInt8]) -> String {
        var text = ""
        var rest = name[...]
        while let first = rest.first {
            let length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
            if let part = String(validating: rest.prefix(length), as: UTF8.self), let scalar = part.unicodeScalars.first, !isUnsafe(scalar) {
                text += part == "\\" ? "\\\\" : part
                rest = rest.dropFirst(length)
            } else {
                let digits = Array("0123456789abcdef")
                text += "\\x" + String([digits[Int(first >> 4)], digits[Int(first & 15)]])
                rest = rest.dropFirst()
            }
        }
        return text
    }

    /// A path of such names.
    package static func of(_ path: [[UInt8]]) -> String { path.map(of).joined(separator: "/") }

    /// Control characters, and those that turn the direction of writing round.
    package static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || (0x202A...0x202E).contains(scalar.value)
            || (0x2066...0x2069).contains(scalar.value) || scalar.value == 0x200E || scalar.value == 0x200F
    }

    /// A name that cannot be shown as it is.
    package static func isUnsafe(_ name: [UInt8]) -> Bool {
        guard let text = String(validating: name, as: UTF8.self) else { return true }
        return text.unicodeScalars.contains(where: isUnsafe)
    }
}
