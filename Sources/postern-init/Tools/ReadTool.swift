import Glibc
import PosternJSON
import PosternSandboxWire

extension FileTool {
    private static let mediaTypes: [String: (type: String, block: String, limit: Int)] = [
        "png": ("image/png", "image", 3_932_160), "jpg": ("image/jpeg", "image", 3_932_160), "jpeg": ("image/jpeg", "image", 3_932_160),
        "gif": ("image/gif", "image", 3_932_160), "webp": ("image/webp", "image", 3_932_160), "pdf": ("application/pdf", "document", 20 << 20),
    ]

    /// Section 8.3 of the tool contract. A text that may be read but is above the offload threshold is previewed; the file itself is
    /// pointed to, not copied.
    func read(_ input: JSON) throws(ToolFailure) -> ToolAnswer {
        let input = try ToolInput(tool: "read", input, allowed: ["file_path", "view_range"])
        let path = try input.path("file_path")
        let resolved = try roots.resolve("read", path)
        let range = try input.optionalRange("view_range")
        let (descriptor, size) = try openRegular("read", path, resolved, O_RDONLY)
        defer { close(descriptor) }
        let name = path.split(separator: "/").last ?? ""
        if let dot = name.lastIndex(of: "."), let media = Self.mediaTypes[name[name.index(after: dot)...].lowercased()] {
            guard range == nil else { throw ToolFailure("read: view_range is not supported for image/PDF files") }
            return try readMedia(path, descriptor, size, media)
        }
        if let range { return try readLines(path, resolved, descriptor, range) }
        let bytes = size > Self.textLimit ? nil : try contents("read", path, descriptor, limit: Self.textLimit)
        guard let bytes, bytes.count <= Self.textLimit else {
            throw ToolFailure(
                "read: \(path) is \(max(size, bytes?.count ?? 0)) bytes, exceeds \(Self.textLimit)-byte limit. "
                    + "Use the view_range parameter to read specific line ranges, e.g. view_range: [1, 500].")
        }
        return shown(try text(path, bytes), resolved)
    }

    private func text(_ path: String, _ bytes: [UInt8]) throws(ToolFailure) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ToolFailure("read: \(path): not valid UTF-8 text (binary files are only supported for image/PDF extensions)")
        }
        return text
    }

    private func shown(_ text: String, _ resolved: ToolRoots.Resolved) -> ToolAnswer {
        let whole = ToolAnswer(text: text)
        guard text.unicodeScalars.count > threshold else { return whole }
        let bytes = Array(text.utf8)
        let preview = Preview(head: Array(bytes.prefix(4096)), tail: Array(bytes.suffix(4096)), bytes: whole.bytes, lines: whole.lines)
        return ToolAnswer(text: preview.text(of: .file(path: resolved.text)), bytes: whole.bytes, lines: whole.lines)
    }

    private func readMedia(
        _ path: String, _ descriptor: Int32, _ size: Int, _ media: (type: String, block: String, limit: Int)
    ) throws(ToolFailure) -> ToolAnswer {
        let bytes = size > media.limit ? nil : try contents("read", path, descriptor, limit: media.limit)
        guard let bytes, bytes.count <= media.limit else {
            throw ToolFailure("read: \(path) is \(max(size, bytes?.count ?? 0)) bytes, exceeds \(media.limit)-byte limit for image/PDF files.")
        }
        // By its data and not by its name: a model service refuses what is named wrongly, with the whole conversation that it is in.
        guard let found = Self.signature(of: bytes).flatMap({ Self.mediaTypes[$0] }) else {
            let isText = !bytes.contains(0) && String(validating: bytes, as: UTF8.self) != nil
            let hint = isText ? "It is text: read it with bash, or rename it" : "Look at it with bash"
            throw ToolFailure("read: \(path) is named like \(media.type) and does not begin like an image or a PDF. \(hint).")
        }
        guard bytes.count <= found.limit else {
            throw ToolFailure("read: \(path) is \(bytes.count) bytes, exceeds \(found.limit)-byte limit for image/PDF files.")
        }
        let source: JSON = ["type": "base64", "media_type": .string(found.type), "data": .string(Base64.encode(bytes))]
        return ToolAnswer(block: ["type": .string(found.block), "source": source], bytes: bytes.count)
    }

    /// The key of `mediaTypes` that the first bytes speak of.
    private static func signature(of bytes: [UInt8]) -> String? {
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { return "png" }
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) { return "jpg" }
        if bytes.starts(with: "GIF87a".utf8) || bytes.starts(with: "GIF89a".utf8) { return "gif" }
        if bytes.starts(with: "RIFF".utf8), bytes.dropFirst(8).starts(with: "WEBP".utf8) { return "webp" }
        // A PDF may have something else before its mark, within its first 1,024 bytes.
        let mark = Array("%PDF-".utf8)
        return bytes.prefix(1_024).indices.contains { bytes[$0...].starts(with: mark) } ? "pdf" : nil
    }

    /// Lines `range`, 1-based and inclusive, streamed: only the chosen lines are held.
    private func readLines(
        _ path: String, _ resolved: ToolRoots.Resolved, _ descriptor: Int32, _ range: (first: Int, last: Int)
    ) throws(ToolFailure) -> ToolAnswer {
        let first = max(1, range.first)
        let last = range.last <= 0 ? Int.max : range.last
        var selection = LineSelection(first: first, last: last, limit: Self.textLimit)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while !selection.isComplete {
            guard let count = buffer.withUnsafeMutableBytes({ Posix.read(descriptor, into: $0) }) else {
                throw ToolFailure("read", path, code: errno)
            }
            if count == 0 { break }
            buffer.withUnsafeBufferPointer { selection.append($0[..<count]) }
        }
        if let line = selection.lineTooLong {
            throw ToolFailure(
                "read: line \(line) of \(path) alone exceeds \(Self.textLimit)-byte limit. "
                    + "The read tool cannot return part of a line, so view_range cannot narrow this further.")
        }
        if selection.isTooLong {
            throw ToolFailure(
                "read: view_range [\(range.first), \(range.last)] of \(path) exceeds \(Self.textLimit)-byte limit. "
                    + "Narrow the view_range to read a smaller portion.")
        }
        return shown(try text(path, selection.text), resolved)
    }
}

/// Picks a range of lines out of a stream in bounded memory. A value without I/O.
struct LineSelection {
    let first: Int
    let last: Int
    let limit: Int
    private(set) var text: [UInt8] = []
    private(set) var isTooLong = false
    private(set) var lineTooLong: Int?
    private(set) var isComplete = false
    private var line = 1
    private var lineBytes = 0

    init(first: Int, last: Int, limit: Int) {
        self.first = first
        self.last = last
        self.limit = limit
        isComplete = last < first
    }

    mutating func append(_ chunk: Slice<UnsafeBufferPointer<UInt8>>) {
        var rest = chunk
        while !isComplete, !rest.isEmpty {
            let end = rest.firstIndex(of: 0x0A)
            let part = rest[rest.startIndex..<(end ?? rest.endIndex)]
            if line >= first {
                lineBytes += part.count
                if lineBytes > limit {
                    lineTooLong = line
                    isComplete = true
                    return
                }
                // What is too long as a whole is counted no further than to tell a long line from many.
                if !isTooLong { text.append(contentsOf: part) }
                if text.count > limit { isTooLong = true }
            }
            guard let end else { return }
            rest = rest[(end + 1)...]
            if line >= last || isTooLong {
                isComplete = true
                return
            }
            if line >= first { text.append(0x0A) }
            line += 1
            lineBytes = 0
        }
    }
}

/// RFC 4648 base64.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4) { output in
            var position = 0
            var index = 0
            while index < bytes.count {
                let left = bytes.count - index
                let group = UInt32(bytes[index]) << 16 | (left > 1 ? UInt32(bytes[index + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[index + 2]) : 0)
                for shift in 0..<4 {
                    output[position] = shift <= left ? alphabet[Int(group >> UInt32(18 - 6 * shift)) & 63] : UInt8(ascii: "=")
                    position += 1
                }
                index += 3
            }
            return position
        }
    }
}
