/// Cuts a program's output into lines for the log: a value without I/O. Control characters are escaped, so that a script cannot forge lines
/// or steer a terminal; long lines are cut and floods end.
struct OutputLines: Sendable {
    /// Characters of a line.
    static let longest = 2_000
    /// Lines of one run; what comes after is only counted.
    static let most = 10_000

    private var pending: [UInt8] = []
    private var isCut = false
    private var count = 0
    private(set) var dropped = 0

    /// The lines that are complete now.
    mutating func feed(_ bytes: some Sequence<UInt8>) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            if byte == 0x0A {
                append(to: &lines)
            } else if pending.count < Self.longest {
                pending.append(byte)
            } else {
                isCut = true
            }
        }
        return lines
    }

    /// The last line, if it did not end.
    mutating func finish() -> [String] {
        var lines: [String] = []
        if !pending.isEmpty { append(to: &lines) }
        return lines
    }

    private mutating func append(to lines: inout [String]) {
        defer {
            pending = []
            isCut = false
        }
        while pending.last == 0x0D { pending.removeLast() }
        guard count < Self.most else {
            dropped += 1
            return
        }
        count += 1
        lines.append(Self.escaped(pending) + (isCut ? "…" : ""))
    }

    private static func escaped(_ bytes: [UInt8]) -> String {
        var text = ""
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            switch scalar.properties.generalCategory {
            // Cf holds the marks that turn the direction of text around.
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
                text += scalar == "\t" ? " " : "\\u{" + String(scalar.value, radix: 16) + "}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
