import PosternJSON

/// Checks the tool definitions of a request.
enum AnthropicTools {
    static func read(
        _ tools: JSON?, into conversation: inout Conversation, cache: inout CacheBreakpoints
    ) throws(ScriptedFault) {
        guard let tools, !tools.isNull else { return }
        guard case .array(let list) = tools else { throw .invalid("tools: Input should be a valid list") }
        var names: Set<String> = []
        for (index, tool) in list.enumerated() {
            guard let name = tool["name"]?.string else { throw .invalid("tools.\(index).custom.name: Field required") }
            guard isToolName(name) else {
                throw .invalid("tools.\(index).custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")
            }
            guard names.insert(name).inserted else { throw .invalid("tools: Tool names must be unique.") }
            // Tools of the service itself (`bash_20250124`, …) bring their schema along.
            if tool["type"] == nil || tool["type"] == "custom" {
                guard let schema = tool["input_schema"] else { throw .invalid("tools.\(index).custom.input_schema: Field required") }
                guard schema["type"] == "object" else {
                    throw .invalid("tools.\(index).custom.input_schema.type: Input should be 'object'")
                }
                if let description = tool["description"], description.string == nil {
                    throw .invalid("tools.\(index).custom.description: Input should be a valid string")
                }
            }
            try cache.note(tool["cache_control"], at: "tools.\(index)")
            conversation.prefixTokens += Tokens.count(tool)
        }
    }

    static func isToolName(_ name: String) -> Bool {
        (1...128).contains(name.utf8.count) && isIdentifier(name)
    }

    /// `^[a-zA-Z0-9_-]+$`
    static func isIdentifier(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
