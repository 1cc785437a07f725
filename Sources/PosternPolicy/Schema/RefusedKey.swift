/// A key that somebody may expect, and why there is none: a better answer than that it is not known.
struct RefusedKey: Sendable {
    /// The end of its path.
    var path: [String]
    var rule: String
    var remedy: String

    static let all = [
        RefusedKey(
            path: ["match", "metadata"], rule: "is not there: a session does not hold the metadata of its agent",
            remedy: "match the agent by id or name, with match.agents"),
        RefusedKey(
            path: ["from", "credential"],
            rule: "names a vault credential of the control plane, and no API gives its value out, so no worker can have it",
            remedy: "use file, variable or vault: the value must be inside the perimeter"),
    ]

    /// The entry for `key` below `path`; `nil` for a key that is merely unknown.
    static func find(_ key: String, below path: PolicyPath) -> RefusedKey? {
        let text = "." + path.key(key).description
        return all.first { text.hasSuffix("." + $0.path.joined(separator: ".")) }
    }
}
