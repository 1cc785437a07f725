import PosternJSON

/// A tool as the server describes it (`tools/list`). Everything in it is the server's word: hints are no promise.
package struct Tool: Sendable, Equatable {
    package var name: String
    package var title: String?
    package var text: String?
    package var inputSchema: JSON
    /// The hints that were given; nil where the server says nothing.
    package var readOnly: Bool?
    package var destructive: Bool?
    package var idempotent: Bool?
    package var openWorld: Bool?
    /// The whole object as it came.
    package var json: JSON

    /// Nil for what is no tool: without a name or a schema that is an object.
    package init?(_ json: JSON) {
        guard let name = json["name"]?.string, !name.isEmpty, let schema = json["inputSchema"], schema.object != nil else { return nil }
        self.name = name
        self.json = json
        let annotations = json["annotations"]
        title = json["title"]?.string ?? annotations?["title"]?.string
        text = json["description"]?.string
        inputSchema = schema
        readOnly = annotations?["readOnlyHint"]?.bool
        destructive = annotations?["destructiveHint"]?.bool
        idempotent = annotations?["idempotentHint"]?.bool
        openWorld = annotations?["openWorldHint"]?.bool
    }
}
