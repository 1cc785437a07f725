import PosternJSON

/// JSON put together as text, where building a value first would cost more than writing it.
enum JSONText {
    /// `{"key":"value"}`
    static func object(key: String, value: String) -> String {
        JSON.object([key: .string(value)]).text
    }

    /// `text` as a JSON string, quotes included.
    static func string(_ text: String) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(text.utf8.count + 2)
        JSON.write(string: text, to: &output)
        return output
    }
}
