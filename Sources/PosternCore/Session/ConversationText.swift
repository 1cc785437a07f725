import PosternJSON

/// A conversation as plain text of a bounded length: what a summary is made from when the conversation itself is too long for the model. Without
/// calls, signatures and pictures there is nothing in it that a service could refuse but its length.
enum ConversationText {
    /// Bytes to which a long piece is cut before whole pieces are left out.
    private static let shortestPiece = 400

    /// - Parameter tokens: About what it may cost. Long pieces are cut in their middles by halves until all fit; when that is not enough, old pieces
    ///   are left out, the first excepted, which says what the task is.
    static func make(_ messages: [JSON], tokens: Int) -> String {
        let limit = TokenEstimate.bytes(tokens: tokens)
        var pieces = messages.flatMap(spoken)
        var longest = limit
        while longest > shortestPiece, pieces.reduce(0, { $0 + min($1.utf8.count, longest) + 1 }) > limit { longest /= 2 }
        pieces = pieces.map { shortened($0, to: longest) }
        guard let first = pieces.first else { return "" }
        var room = limit - first.utf8.count
        var kept: [String] = []
        for piece in pieces.dropFirst().reversed() {
            room -= piece.utf8.count + 1
            guard room >= 0 else { break }
            kept.append(piece)
        }
        let missing = pieces.count - 1 - kept.count
        let gap = missing > 0 ? ["[\(missing) older pieces are left out here]"] : []
        return ([first] + gap + kept.reversed()).joined(separator: "\n")
    }

    private static func spoken(_ message: JSON) -> [String] {
        let speaker =
            switch message["role"]?.string {
            case "assistant": "Assistant"
            case "system": "System"
            default: "User"
            }
        return (message["content"]?.array ?? []).compactMap { block in
            switch block["type"]?.string {
            case "tool_use": "Call of \(block["name"]?.string ?? ""): \((block["input"] ?? .object([:])).text)"
            case "tool_result":
                (block["is_error"]?.bool == true ? "Failed result: " : "Result: ")
                    + (block["content"]?.array ?? []).compactMap(words).joined(separator: "\n")
            default: words(block).map { "\(speaker): \($0)" }
            }
        }
    }

    /// Thinking is nobody's speech and is left out.
    private static func words(_ block: JSON) -> String? {
        switch block["type"]?.string {
        case "text": block["text"]?.string
        case "image": "[an image]"
        case "document": block["source"]?["type"] == "text" ? block["source"]?["data"]?.string : "[a document]"
        case "search_result": block.text
        default: nil
        }
    }

    /// The beginning and the end of a text that is longer than `length` bytes.
    static func shortened(_ text: String, to length: Int) -> String {
        let bytes = text.utf8
        guard bytes.count > length else { return text }
        var head = bytes.index(bytes.startIndex, offsetBy: length * 2 / 3)
        var tail = bytes.index(bytes.endIndex, offsetBy: -(length / 3))
        while head > bytes.startIndex, isContinuation(bytes[head]) { bytes.formIndex(before: &head) }
        while tail < bytes.endIndex, isContinuation(bytes[tail]) { bytes.formIndex(after: &tail) }
        return "\(text[..<head]) [… \(bytes.distance(from: head, to: tail)) bytes left out …] \(text[tail...])"
    }

    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }
}
