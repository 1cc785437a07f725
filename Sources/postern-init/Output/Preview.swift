/// What a result shows of a text that is too large for it: the size, where the whole of it is, how to read on, its head and its tail.
struct Preview {
    enum Source {
        /// The whole text was written to a file for this purpose; `failure` says why not all of it is there.
        case offloaded(path: String, failure: String?)
        /// The text is a file of its own already.
        case file(path: String)
    }

    var head: [UInt8]
    var tail: [UInt8]
    var bytes: Int
    var lines: Int

    func text(of source: Source) -> String {
        let size = "\(bytes) bytes in \(lines) \(lines == 1 ? "line" : "lines")"
        var text: String
        switch source {
        case .offloaded(let path, nil):
            text = "[This output is too large for one result: \(size). All of it is in \(path). \(Self.advice(path))]"
        case .offloaded(let path, let failure?):
            text = "[This output is too large for one result: \(size). \(failure), so \(path) holds only its beginning. \(Self.advice(path))]"
        case .file(let path):
            text = "[This file is too large for one result: \(size). \(Self.advice(path))]"
        }
        let first = Self.upToLineEnd(head)
        let last = Self.fromLineStart(tail)
        let omitted = bytes - first.utf8.count - last.utf8.count
        text += "\n\n" + first
        if !first.hasSuffix("\n") { text += "\n" }
        text += "\n[… \(max(0, omitted)) bytes left out here …]\n\n" + last
        return text
    }

    private static func advice(_ path: String) -> String {
        "To read on, use read with file_path \"\(path)\" and a view_range such as [1, 200], or search it with grep."
    }

    /// The longest beginning that ends at a line's end; if the last line is very long, at a character's.
    private static func upToLineEnd(_ bytes: [UInt8]) -> String {
        if let end = bytes.lastIndex(of: 0x0A), end >= bytes.count / 2 { return String(decoding: bytes[...end], as: UTF8.self) }
        var end = bytes.count
        while end > 0, end > bytes.count - 4, bytes[end - 1] & 0xC0 == 0x80 { end -= 1 }
        if end > 0, bytes[end - 1] >= 0xC0 { end -= 1 } else { end = bytes.count }
        return String(decoding: bytes[..<end], as: UTF8.self)
    }

    private static func fromLineStart(_ bytes: [UInt8]) -> String {
        if let end = bytes.firstIndex(of: 0x0A), end < bytes.count / 2 { return String(decoding: bytes[(end + 1)...], as: UTF8.self) }
        let start = bytes.firstIndex { $0 & 0xC0 != 0x80 } ?? 0
        return String(decoding: bytes[start...], as: UTF8.self)
    }
}
