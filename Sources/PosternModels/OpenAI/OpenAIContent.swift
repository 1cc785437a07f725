import PosternJSON

/// Content blocks of the Messages API as parts of a Chat Completion's message.
enum OpenAIContent {
    /// How a failed tool call is told to a model whose API has no mark for it.
    static let errorPrefix = "Error: "

    /// The texts of the blocks, a line feed between them.
    static func text(of blocks: [JSON]) -> String {
        blocks.compactMap { $0["type"] == "text" ? $0["text"]?.string : nil }.joined(separator: "\n")
    }

    /// A text or an image; nil for what the API cannot carry.
    static func part(_ block: JSON) -> JSON? {
        switch block["type"]?.string {
        case "text": return .object(["type": "text", "text": block["text"] ?? ""])
        case "image":
            let source = block["source"]
            if let url = source?["url"]?.string { return image(url) }
            guard let data = source?["data"]?.string, let type = source?["media_type"]?.string else { return nil }
            return image("data:\(type);base64,\(data)")
        case "document":
            let source = block["source"]
            if source?["type"] == "text", let text = source?["data"]?.string { return .object(["type": "text", "text": .string(text)]) }
            guard let data = source?["data"]?.string, let type = source?["media_type"]?.string else { return nil }
            let file: JSONObject = [
                "filename": block["title"]?.string.map(JSON.string) ?? "document.pdf", "file_data": .string("data:\(type);base64,\(data)"),
            ]
            return .object(["type": "file", "file": .object(file)])
        default: return nil
        }
    }

    private static func image(_ url: String) -> JSON { .object(["type": "image_url", "image_url": .object(["url": .string(url)])]) }
}
