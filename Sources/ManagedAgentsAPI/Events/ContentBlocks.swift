import PosternJSON

/// Content blocks of client events (contract section 4.4), checked and kept as they came.
enum ContentBlocks {
    enum Kind {
        case message, result, system
        var types: [String] {
            switch self {
            case .message: ["text", "image", "document", "redacted"]
            case .result: ["text", "image", "document", "search_result"]
            case .system: ["text"]
            }
        }
    }

    static let maximum = 1000

    static func check(_ list: [JSON], _ kind: Kind, at path: WirePath) throws(APIError) -> [JSON] {
        for (index, block) in list.enumerated() { try check(block, kind, at: path.index(index)) }
        return list
    }

    private static func check(_ block: JSON, _ kind: Kind, at path: WirePath) throws(APIError) {
        let type = try WireObject.type(of: block, at: path)
        guard kind.types.contains(type) else { throw WireObject.notAChoice(type, at: path.key("type"), kind.types) }
        switch type {
        case "text":
            let text = try WireObject(block, at: path, allowing: ["type", "text"])
            // The official worker never sends an empty text, but an empty result is no reason to lose it.
            if kind == .result, try text.string("text") != nil { return }
            guard try text.requiredString("text").contains(where: { !$0.isWhitespace }) else {
                throw .invalid("\(path.key("text").dotted): must hold more than white space, which model services refuse")
            }
        case "image":
            let image = try WireObject(block, at: path, allowing: ["type", "source"])
            let source = try image.required("source")
            try checkSource(source, ["base64", "url", "file"], at: path.key("source"))
            if kind == .message { try checkMedia(source, MediaSignature.images, at: path.key("source")) }
        case "document":
            let document = try WireObject(block, at: path, allowing: ["type", "source", "title", "context"])
            _ = try document.string("title")
            _ = try document.string("context")
            let source = try document.required("source")
            try checkSource(source, ["base64", "text", "url", "file"], at: path.key("source"))
            if kind == .message { try checkMedia(source, [MediaSignature.document], at: path.key("source")) }
        case "search_result":
            let result = try WireObject(block, at: path, allowing: ["type", "source", "title", "content", "citations"])
            _ = try result.requiredString("source")
            _ = try result.requiredString("title")
            _ = try WireObject(try result.required("citations"), at: path.key("citations"), allowing: ["enabled"]).bool("enabled")
            for (index, text) in (try result.array("content", maximum: maximum) ?? []).enumerated() {
                guard text["type"] == "text" else {
                    throw WireObject.notAChoice(text["type"]?.string ?? "", at: path.key("content").index(index), ["text"])
                }
                try check(text, .result, at: path.key("content").index(index))
            }
        default: _ = try WireObject(block, at: path, allowing: ["type"])
        }
    }

    private static func checkSource(_ source: JSON, _ types: [String], at path: WirePath) throws(APIError) {
        let type = try WireObject.type(of: source, at: path)
        guard types.contains(type) else { throw WireObject.notAChoice(type, at: path.key("type"), types) }
        switch type {
        case "base64":
            let object = try WireObject(source, at: path, allowing: ["type", "media_type", "data"])
            _ = try object.requiredString("media_type", maximum: 255)
            let data = try object.requiredString("data")
            guard MediaSignature.isBase64(data) else { throw .invalid("\(path.key("data").dotted): must be base64") }
        case "text":
            let object = try WireObject(source, at: path, allowing: ["type", "media_type", "data"])
            _ = try object.choice("media_type", ["text/plain"])
            _ = try object.requiredString("data")
        case "url":
            let url = try WireObject(source, at: path, allowing: ["type", "url"]).requiredString("url", maximum: 8192)
            guard url.hasPrefix("https://") || url.hasPrefix("http://") else {
                throw .invalid("\(path.key("url").dotted): must be an http or https URL")
            }
        default: throw Limits.notBuilt("A content source of type file")
        }
    }

    /// What a client sends stays in its session's history: the model service would refuse every later request along with it. Results of tools are let
    /// through, for a call must be answered; see the engine for what becomes of them.
    private static func checkMedia(_ source: JSON, _ types: [String], at path: WirePath) throws(APIError) {
        guard source["type"] == "base64" else { return }
        let named = source["media_type"]?.string ?? ""
        guard types.contains(named) else { throw WireObject.notAChoice(named, at: path.key("media_type"), types) }
        let found = MediaSignature.mediaType(ofBase64: source["data"]?.string ?? "")
        guard found == named else {
            throw .invalid("\(path.key("data").dotted): is no \(named): the data begins like \(found ?? "no image or PDF")")
        }
    }
}
