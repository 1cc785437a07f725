/// Turns the raw bytes of a command, as they stream, into the text that a result shows: ANSI CSI sequences removed, invalid UTF-8
/// replaced by U+FFFD, trailing newlines held back. A value without I/O; its memory is bounded whatever comes.
struct TextFilter {
    /// Remove `ESC [ … letter`, and hold newlines back until something follows them.
    var isTerminalOutput: Bool
    private var carry: [UInt8] = []
    private var heldNewlines = 0

    /// A CSI sequence longer than this is no sequence; it is passed on as text.
    private static let longestSequence = 64
    private static let mostHeldNewlines = 65_536
    private static let escape: UInt8 = 0x1B
    private static let newline: UInt8 = 0x0A

    init(isTerminalOutput: Bool) {
        self.isTerminalOutput = isTerminalOutput
    }

    /// The text that `bytes` adds, as valid UTF-8.
    mutating func append(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var chunk = carry
        chunk.append(contentsOf: bytes)
        carry = []
        if isTerminalOutput { chunk = removeSequences(chunk, isLast: false) }
        keepIncompleteScalar(of: &chunk)
        return hold(Self.repaired(chunk))
    }

    /// What is left when no more comes. Held newlines are not part of it.
    mutating func finish() -> [UInt8] {
        let rest = isTerminalOutput ? removeSequences(carry, isLast: true) : carry
        carry = []
        return hold(Self.repaired(rest))
    }

    private mutating func removeSequences(_ chunk: [UInt8], isLast: Bool) -> [UInt8] {
        guard chunk.contains(Self.escape) else { return chunk }
        var output: [UInt8] = []
        output.reserveCapacity(chunk.count)
        var index = 0
        while index < chunk.count {
            guard chunk[index] == Self.escape else {
                output.append(chunk[index])
                index += 1
                continue
            }
            var end = index + 1
            if end < chunk.count, chunk[end] == UInt8(ascii: "[") {
                end += 1
                while end < chunk.count, end - index < Self.longestSequence, (0x20...0x3F).contains(chunk[end]) { end += 1 }
                if end < chunk.count, (0x40...0x7E).contains(chunk[end]), end - index < Self.longestSequence {
                    index = end + 1
                    continue
                }
            }
            if end >= chunk.count, !isLast {
                carry = Array(chunk[index...])
                return output
            }
            output.append(chunk[index])
            index += 1
        }
        return output
    }

    /// Moves the beginning of a scalar whose end has not come yet from `chunk` to the carry.
    private mutating func keepIncompleteScalar(of chunk: inout [UInt8]) {
        guard carry.isEmpty else { return }
        for length in 1...3 where length <= chunk.count {
            let lead = chunk[chunk.count - length]
            if lead & 0xC0 == 0x80 { continue }
            let needed = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1
            if needed > length {
                carry = Array(chunk.suffix(length))
                chunk.removeLast(length)
            }
            return
        }
    }

    private mutating func hold(_ text: [UInt8]) -> [UInt8] {
        guard isTerminalOutput, !text.isEmpty else { return text }
        var end = text.count
        while end > 0, text[end - 1] == Self.newline { end -= 1 }
        if end == 0 {
            heldNewlines += text.count
            // A flood of empty lines is text after all; only so many are held, since they may have to be given out at once.
            guard heldNewlines > Self.mostHeldNewlines else { return [] }
            defer { heldNewlines = 0 }
            return [UInt8](repeating: Self.newline, count: heldNewlines)
        }
        let before = heldNewlines
        heldNewlines = text.count - end
        guard before > 0 else { return Array(text[..<end]) }
        return [UInt8](repeating: Self.newline, count: before) + text[..<end]
    }

    private static func repaired(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.withUnsafeBufferPointer({ isValid($0) }) { return bytes }
        return Array(String(decoding: bytes, as: UTF8.self).utf8)
    }

    private static func isValid(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool { String(validating: bytes, as: UTF8.self) != nil }
}
