import PosternJSON

/// The body of a request to an MCP server: one JSON value in strict UTF-8, read so that it has one reading only. A value without I/O.
package struct RPCBody: Hashable, Sendable {
    /// Arrays and objects inside one another.
    package static let mostDepth = 64
    /// Values in one body, so that a short body does not become a large tree.
    package static let mostValues = 100_000
    package static let mostMessages = 64

    /// At least one; exactly one where it is no batch.
    package var messages: [RPCMessage]
    package var isBatch: Bool

    package init(_ bytes: some Sequence<UInt8>) throws(PolicyRefusal) {
        let json: JSON
        do throws(JSONParseError) {
            json = try JSON(
                parsing: bytes,
                options: .init(maximumDepth: Self.mostDepth, rejectsLoneSurrogates: true, maximumValues: Self.mostValues))
        } catch {
            // Not the parser's own words where they repeat a key: this goes to the log too.
            let reason = error.reason.hasPrefix("key ") ? "a key repeats" : error.reason
            throw .malformed(
                "body.json", "the body is not one JSON value in strict UTF-8: at byte \(error.offset): \(reason)", "send one JSON-RPC message")
        }
        if FoldedName.collision(in: json) != nil {
            throw .malformed("body.keys", "two keys of one object differ in case only", "send each key once")
        }
        guard case .array(let elements) = json else {
            messages = [try RPCMessage(json)]
            isBatch = false
            return
        }
        guard (1...Self.mostMessages).contains(elements.count) else {
            throw .malformed("body.batch", "a batch holds 1 to \(Self.mostMessages) messages", "send fewer")
        }
        messages = []
        for element in elements { messages.append(try RPCMessage(element)) }
        isBatch = true
        guard !messages.contains(where: { $0.method == "initialize" }) else {
            throw .malformed("body.batch", "\"initialize\" stands in a batch", "send it alone")
        }
    }
}
