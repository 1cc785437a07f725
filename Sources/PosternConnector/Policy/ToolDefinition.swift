import Crypto
import PosternJSON

/// SHA-256 over the definition of a tool in the form of RFC 8785.
package struct ToolDigest: Hashable, Sendable, CustomStringConvertible {
    private static let prefix = "sha256:"
    /// `sha256:` and 64 digits in lower case.
    package let description: String

    package init(of definition: JSON) {
        description = Self.prefix + SHA256.hash(data: definition.canonical).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// `nil` for what is not written that way.
    package init?(_ text: String) {
        guard text.hasPrefix(Self.prefix), text.utf8.count == 71, text.utf8.dropFirst(7).allSatisfy({ "0123456789abcdef".utf8.contains($0) }) else {
            return nil
        }
        description = text
    }
}

/// What is known of a tool from an answer to `tools/list`.
struct ToolDefinition: Hashable, Sendable {
    let digest: ToolDigest
    let hints: ToolHints
    let parameters: RoutingHeaders.Parameters

    private static let mostParameters = 64

    init(_ definition: JSON) {
        digest = ToolDigest(of: definition)
        hints = ToolHints(definition)
        var parameters: RoutingHeaders.Parameters = [:]
        Self.gather(definition["inputSchema"], [], &parameters)
        self.parameters = parameters
    }

    /// The properties with the annotation `x-mcp-header` (MCP 2026-07-28).
    private static func gather(_ schema: JSON?, _ path: [String], _ parameters: inout RoutingHeaders.Parameters) {
        guard let properties = schema?["properties"]?.object else { return }
        for (key, value) in properties where parameters.count < mostParameters {
            if let name = value["x-mcp-header"]?.string { parameters[name.lowercased()] = path + [key] }
            gather(value, path + [key], &parameters)
        }
    }
}

/// The definitions that a server showed last, of the tools that a policy knows.
struct ToolCatalogue: Hashable, Sendable {
    /// Further ones are not kept: a tool that is not seen is not called where it has to be.
    static let most = 2_048

    private var definitions: [String: ToolDefinition] = [:]

    subscript(tool: String) -> ToolDefinition? { definitions[tool] }

    mutating func saw(_ tool: String, _ definition: ToolDefinition) {
        guard definitions[tool] != nil || definitions.count < Self.most else { return }
        definitions[tool] = definition
    }
}
