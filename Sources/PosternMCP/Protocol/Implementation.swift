import PosternJSON

/// Name and version of a client or a server, as it calls itself: for display only (schema, `Implementation`).
package struct Implementation: Sendable, Equatable {
    package var name: String
    package var version: String
    /// For people; nil where there is none.
    package var title: String?

    package init(name: String, version: String, title: String? = nil) {
        self.name = name
        self.version = version
        self.title = title
    }

    /// Nil where name or version is missing.
    package init?(_ json: JSON?) {
        guard let name = json?["name"]?.string, let version = json?["version"]?.string else { return nil }
        self.init(name: name, version: version, title: json?["title"]?.string)
    }

    package var json: JSON {
        var object: JSONObject = ["name": .string(name), "version": .string(version)]
        if let title { object["title"] = .string(title) }
        return .object(object)
    }
}
