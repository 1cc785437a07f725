import PosternJSON
import PosternMCP

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Prints what a tool gave: text as it is, or made safe and short where a person reads it; the rest is named, and written to files if asked for.
struct ToolResultRenderer {
    /// Bytes of one text that a terminal gets.
    static let shownText = 64 << 10

    let terminal: Terminal
    /// Where files go; nil for nowhere.
    let folder: String?
    let isTerminal: Bool

    func show(_ result: ToolResult) throws {
        if let folder { try TextFile.makeFolder(folder) }
        for (index, content) in result.content.enumerated() { try show(content, number: index + 1) }
        if result.content.isEmpty, let structured = result.structured { terminal.print(structured.indented) }
    }

    private func show(_ content: ToolResult.Content, number: Int) throws {
        switch content {
        case .text(let text): try show(text: text, mediaType: "text/plain", number: number)
        case .media(let kind, let mediaType, let base64): try show(base64: base64, mediaType: mediaType, what: kind, number: number)
        case .resource(let uri, let mediaType, let text?, _):
            terminal.note(Terminal.visible(uri))
            try show(text: text, mediaType: mediaType ?? "text/plain", number: number)
        case .resource(let uri, let mediaType, nil, let base64):
            try show(base64: base64 ?? "", mediaType: mediaType ?? "application/octet-stream", what: uri, number: number)
        case .link(let uri, let name, let mediaType):
            terminal.print(Terminal.visible("\(name): \(uri)" + (mediaType.map { " (\($0))" } ?? "")))
        case .other(let json): terminal.print(json.text)
        }
    }

    private func show(text: String, mediaType: String, number: Int) throws {
        guard isTerminal else { return terminal.print(text) }
        let size = text.utf8.count
        guard size > Self.shownText else { return terminal.print(Terminal.visible(text)) }
        if folder != nil { return terminal.print("text, \(size) bytes: \(try write(Array(text.utf8), mediaType, number))") }
        terminal.print(Terminal.visible(String(decoding: text.utf8.prefix(Self.shownText), as: UTF8.self)))
        terminal.note("… \(size - Self.shownText) further bytes are not shown: pipe the output, or give --save FOLDER")
    }

    private func show(base64: String, mediaType: String, what: String, number: Int) throws {
        let name = Terminal.visible("\(what), \(mediaType)")
        guard let bytes = Base64.decode(base64) else { return terminal.note("\(name): its data is not base64") }
        if folder != nil { return terminal.print("\(name), \(bytes.count) bytes: \(try write(bytes, mediaType, number))") }
        terminal.note("\(name), \(bytes.count) bytes: not shown, --save FOLDER writes it to a file")
    }

    /// The file's name comes from its number and kind alone: nothing of the server's is in it. An existing file is not replaced.
    private func write(_ bytes: [UInt8], _ mediaType: String, _ number: Int) throws -> String {
        let path = "\(folder ?? ".")/\(number).\(Self.ending(mediaType))"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw CommandError(.failure, "cannot write \(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { systemWrite(descriptor, $0) }
            guard count > 0 || errno == EINTR else { throw CommandError(.failure, "cannot write \(path): \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(max(0, count))
        }
        return path
    }

    private static let endings = [
        "image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp", "image/svg+xml": "svg", "audio/wav": "wav",
        "audio/mpeg": "mp3", "audio/ogg": "ogg", "application/pdf": "pdf", "application/json": "json", "text/plain": "txt", "text/markdown": "md",
        "text/html": "html", "text/csv": "csv",
    ]

    private static func ending(_ mediaType: String) -> String {
        endings[mediaType.lowercased().prefix { $0 != ";" }.trimmingSpaces] ?? "bin"
    }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int { write(descriptor, bytes.baseAddress, bytes.count) }
