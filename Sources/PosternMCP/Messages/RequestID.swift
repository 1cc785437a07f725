import PosternJSON

/// The id of a JSON-RPC request: text or a whole number (JSON-RPC 2.0, section 4; MCP forbids null). `1` and `"1"` are two ids.
package enum RequestID: Sendable, Hashable {
    case number(Int64)
    case text(String)

    /// Nil for what is no id: null, a fraction, a structure.
    package init?(_ json: JSON) {
        switch json {
        case .int(let value): self = .number(value)
        case .string(let value): self = .text(value)
        default: return nil
        }
    }

    package var json: JSON {
        switch self {
        case .number(let value): .int(value)
        case .text(let value): .string(value)
        }
    }
}
