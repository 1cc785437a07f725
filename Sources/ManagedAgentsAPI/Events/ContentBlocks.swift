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
            _ = try text.requiredString("text")
        case "image":
            let image = try WireObject(block, at: path, allowing: ["type", "source"])
            try checkSource(try image.required("source"), ["base64", "url", "file"], at: path.key("source"))
        case "document":
            let document = try WireObject(block, at: path, allowing: ["type", "source", "title", "context"])
            _ = try document.string("title")
            _ = try document.string("context")
            try checkSource(try document.required("source"), ["base64", "text", "url", "file"], at: path.key("source"))
        case "search_result":
            let result = try WireObject(block, at: path, allowing: ["type", "source", "title", "content", "citations"])
            _ = try result.requiredString("source")
            _ = try result.requiredString("title")
            _ = try WireObject(try result.required("citations"), at: path.key("citations"), allowing: ["enabled"]).bool("enabled")
            for (index, text) in (try result.array("content", maximum: maximum) ?? []).enumerated() {
                try check(text, .system, at: path.key("content").index(index))
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
            guard data.utf8.allSatisfy(isBase64) else { throw .invalid("\(path.key("data").dotted): must be base64") }
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

    private static func isBase64(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x41...0x5A, 0x61...0x7A, 0x30...0x39, 0x2B, 0x2F, 0x3D: true
        default: false
        }
    }
}
