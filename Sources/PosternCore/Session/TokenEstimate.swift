import PosternJSON

/// Guesses what content costs that no answer of the model has counted yet. It decides when the conversation is summarised, so where it is not sure it
/// guesses low: a guess too low costs one refused request, one too high a conversation that could have gone on as it was.
enum TokenEstimate {
    /// The Messages API scales an image down until width × height / 750 is no more than that.
    static let image = 1_600
    /// The low end of what the Messages API names for a page of a PDF.
    static let page = 1_500
    /// What a page takes in a file with pictures. Pages cannot be counted without unpacking the file.
    private static let bytesPerPage = 100_000
    /// The most pages that a request may hold.
    private static let maximumPages = 100
    private static let bytesPerToken = 4

    static func text(bytes: Int) -> Int { (bytes + bytesPerToken - 1) / bytesPerToken }

    /// Bytes of text that cost that many tokens.
    static func bytes(tokens: Int) -> Int { tokens * bytesPerToken }

    static func content(_ blocks: [JSON]) -> Int { blocks.reduce(0) { $0 + block($1) } }

    private static func block(_ block: JSON) -> Int {
        switch block["type"]?.string {
        case "text": text(bytes: block["text"]?.string?.utf8.count ?? 0)
        case "image": image
        case "document": document(block["source"])
        case "tool_result": content(block["content"]?.array ?? [])
        default: text(bytes: block.encoded.count)
        }
    }

    private static func document(_ source: JSON?) -> Int {
        guard let data = source?["data"]?.string else { return page }
        if source?["type"] == "text" { return text(bytes: data.utf8.count) }
        let bytes = data.utf8.count / 4 * 3
        return page * min(max(1, bytes / bytesPerPage), maximumPages)
    }
}
