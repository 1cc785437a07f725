import PosternJSON

/// Brings a tool's content into the form that the API accepts (contract, section 7.4).
package enum ResultBlocks {
    package static let empty = "(no output)"

    /// `text`, `image`, `document` and `search_result` blocks pass; any other is sent as its JSON in a text block. Empty text becomes
    /// `(no output)`, and so does no content at all. Swift strings hold no lone surrogates, and the JSON parser reads one as U+FFFD.
    package static func normalised(_ content: [JSON]) -> [JSON] {
        if content.isEmpty { return [text(empty)] }
        return content.map { block in
            switch block["type"]?.string {
            case "text":
                guard let value = block["text"]?.string else { return text(block.text) }
                return value.isEmpty ? text(empty) : block
            case "image", "document", "search_result": return block
            default: return text(block.text)
            }
        }
    }

    package static func text(_ value: String) -> JSON { ["type": "text", "text": .string(value.isEmpty ? empty : value)] }
}
