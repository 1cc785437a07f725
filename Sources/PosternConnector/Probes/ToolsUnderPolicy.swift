import PosternJSON

/// What a route's policy makes of the tools that its server has now.
package struct ToolsUnderPolicy: Sendable, Hashable {
    /// Those that some caller may call: named by the policy, with the definition that was pinned where it pins any, and
    /// with annotations that pass.
    package var callable: [String] = []
    /// Pinned, and defined otherwise now.
    package var changed: [String] = []
    /// Pinned, and not there any more.
    package var gone: [String] = []

    /// - Parameter definitions: of all tools, by name, as the server gave them.
    package init(_ policy: RoutePolicy, _ definitions: [(name: String, definition: JSON)]) {
        let seen = Set(definitions.map(\.name))
        for (name, definition) in definitions {
            if let pin = policy.pins?[name], pin != ToolDigest(of: definition) {
                changed.append(name)
            } else if policy.knows(name, ToolDefinition(definition)) {
                callable.append(name)
            }
        }
        gone = (policy.pins ?? [:]).keys.filter { !seen.contains($0) }.sorted()
    }
}
