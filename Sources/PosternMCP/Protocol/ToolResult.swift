import PosternJSON

/// The result of `tools/call`.
package struct ToolResult: Sendable, Equatable {
    /// One piece of content (schema, `ContentBlock`).
    package enum Content: Sendable, Equatable {
        case text(String)
        /// An image or a sound: base64 as it came.
        case media(kind: String, mediaType: String, base64: String)
        /// A file's content that the server has put in.
        case resource(uri: String, mediaType: String?, text: String?, base64: String?)
        /// A file that can be asked for.
        case link(uri: String, name: String, mediaType: String?)
        /// A kind that is not known here, as it came.
        case other(JSON)
    }

    package var content: [Content]
    package var structured: JSON?
    /// The tool itself has failed; the content says why.
    package var isError: Bool
    /// The whole result as it came.
    package var json: JSONObject

    /// Fails where the result has no list of content.
    package init(_ result: JSONObject) throws(JSONRPCMessage.Malformed) {
        guard let blocks = result["content"]?.array else {
            throw JSONRPCMessage.Malformed(reason: "the result of a tool must have a list of content")
        }
        content = blocks.map(Content.init)
        structured = result["structuredContent"].flatMap { $0.isNull ? nil : $0 }
        isError = result["isError"]?.bool ?? false
        json = result
    }
}

extension ToolResult.Content {
    fileprivate init(_ block: JSON) {
        let type = block["type"]?.string
        switch type {
        case "text":
            guard let text = block["text"]?.string else { break }
            self = .text(text)
            return
        case "image", "audio":
            guard let type, let data = block["data"]?.string, let mediaType = block["mimeType"]?.string else { break }
            self = .media(kind: type, mediaType: mediaType, base64: data)
            return
        case "resource":
            guard let resource = block["resource"], let uri = resource["uri"]?.string else { break }
            self = .resource(
                uri: uri, mediaType: resource["mimeType"]?.string, text: resource["text"]?.string, base64: resource["blob"]?.string)
            return
        case "resource_link":
            guard let uri = block["uri"]?.string else { break }
            self = .link(uri: uri, name: block["name"]?.string ?? uri, mediaType: block["mimeType"]?.string)
            return
        default: break
        }
        self = .other(block)
    }
}
