#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Standard output and error of a command. Whole writes through `write(2)`: nothing is left in a buffer when the process is killed.
package struct Terminal: Sendable {
    package let isColoured: Bool

    /// Colours are used on a terminal only, and not when `NO_COLOR` is set.
    package init() { isColoured = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil }

    package init(isColoured: Bool) { self.isColoured = isColoured }

    package enum Style: Int, Sendable { case bold = 1, dim = 2, red = 31, green = 32, yellow = 33, blue = 34, cyan = 36 }

    package func styled(_ text: String, _ style: Style) -> String {
        isColoured && !text.isEmpty ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    package func print(_ line: String) { Self.write(line + "\n", to: STDOUT_FILENO) }

    /// Without a line feed.
    package func put(_ text: String) { Self.write(text, to: STDOUT_FILENO) }

    package func complain(_ line: String) { Self.write("postern: \(line)\n", to: STDERR_FILENO) }

    /// Progress and notes that must not mix with the data on standard output.
    package func note(_ line: String) { Self.write(line + "\n", to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var offset = 0
            while offset < bytes.count {
                let count = systemWrite(descriptor, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[offset...]))
                if count > 0 {
                    offset += count
                } else if errno != EINTR {
                    return
                }
            }
        }
    }

    /// Text of a model or a tool, made safe to show: escape sequences and other control characters become visible, line feeds and tabs stay.
    package static func visible(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { isControl($0) }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if isControl(scalar) {
                result += scalar == "\r" ? "" : "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == "\n" || scalar == "\t" { return false }
        // Bidirectional overrides can make a line read as another one.
        return scalar.properties.generalCategory == .control || (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
    }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int { write(descriptor, bytes.baseAddress, bytes.count) }
