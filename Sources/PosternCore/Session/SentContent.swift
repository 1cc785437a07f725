import ManagedAgentsAPI
import PosternJSON

/// Content as it is sent to the model service. Events keep what they were given; a block that the service would refuse, now and with every later
/// request of the session, is told to the model in words instead.
enum SentContent {
    private static let media: Set<String> = ["image", "document", "search_result"]
    private static let longestReason = 300

    // MARK: Results of calls, which nobody refuses on their way in: the call would never be answered

    /// A result without texts that say nothing, with media types as the data has them, and without data that is no image or PDF.
    static func result(_ blocks: [JSON], isError: Bool) -> [JSON] {
        let sent = blocks.compactMap { block -> JSON? in
            switch block["type"]?.string {
            case "text": return block["text"]?.string?.contains { !$0.isWhitespace } == true ? block : nil
            case "image": return checked(block, ["image"] + MediaSignature.images)
            case "document": return checked(block, ["document", MediaSignature.document])
            default: return block
            }
        }
        return sent.isEmpty && isError ? [text("(no output)")] : sent
    }

    private static func checked(_ block: JSON, _ kinds: [String]) -> JSON {
        guard block["source"]?["type"] == "base64", let data = block["source"]?["data"]?.string, case .object(var changed) = block,
            case .object(var source)? = changed["source"]
        else { return block }
        guard let type = MediaSignature.mediaType(ofBase64: data), kinds.contains(type) else {
            return text("[The result held \(article(kinds[0])) here whose data is none. It is left out.]")
        }
        guard source["media_type"]?.string != type else { return block }
        source["media_type"] = .string(type)
        changed["source"] = .object(source)
        return .object(changed)
    }

    // MARK: What the service has refused

    static func isMedia(_ block: JSON) -> Bool {
        if media.contains(block["type"]?.string ?? "") { return true }
        return block["type"] == "tool_result" && (block["content"]?.array ?? []).contains(where: isMedia)
    }

    /// The blocks with words in the place of images, documents and search results.
    static func withoutMedia(_ blocks: [JSON], _ reason: String) -> [JSON] {
        blocks.map { block in
            guard isMedia(block) else { return block }
            guard block["type"] == "tool_result", case .object(var result) = block else {
                return text(
                    "[There was \(article(block["type"]?.string ?? "")) here, which the model service refused: \(reason.prefix(longestReason))]")
            }
            result["content"] = .array(withoutMedia(result["content"]?.array ?? [], reason))
            result["is_error"] = true
            return .object(result)
        }
    }

    /// Words in the place of everything. Results stay results: each call must have one.
    static func withheld(_ blocks: [JSON], _ reason: String) -> [JSON] {
        let reason = reason.prefix(longestReason)
        var sent = blocks.compactMap { block -> JSON? in
            guard block["type"] == "tool_result", case .object(var result) = block else { return nil }
            result["content"] = [text("The result of this call could not be passed on; the model service refused it: \(reason)")]
            result["is_error"] = true
            return .object(result)
        }
        if sent.count < blocks.count { sent.append(text("[There was a message here, which the model service refused: \(reason)]")) }
        return sent
    }

    private static func text(_ text: String) -> JSON { ["type": "text", "text": .string(text)] }

    private static func article(_ type: String) -> String {
        switch type {
        case "image": "an image"
        case "document": "a document"
        default: "a search result"
        }
    }
}
