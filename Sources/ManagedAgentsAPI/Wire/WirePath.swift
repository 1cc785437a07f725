/// Where in a request a value stands, in the two notations that error messages use: `tools.1.custom.name` for a value that breaks a rule, and
/// `tools[1].name` for one that cannot be read.
package struct WirePath: Sendable, Equatable {
    package private(set) var dotted: String
    package private(set) var bracketed: String

    /// The whole body; `prefix` where the route's messages name what the body describes, as in `agent.model.effort`.
    package init(_ prefix: String = "") {
        dotted = prefix
        bracketed = prefix
    }

    package func key(_ key: String) -> WirePath {
        var path = self
        path.dotted += dotted.isEmpty ? key : "." + key
        path.bracketed += bracketed.isEmpty ? key : "." + key
        return path
    }

    package func index(_ index: Int) -> WirePath {
        var path = self
        path.dotted += ".\(index)"
        path.bracketed += "[\(index)]"
        return path
    }

    /// Names which member of a union the value is; only the dotted notation shows it.
    package func variant(_ name: String) -> WirePath {
        var path = self
        path.dotted += "." + name
        return path
    }
}
