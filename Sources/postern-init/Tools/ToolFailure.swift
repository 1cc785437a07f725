import PosternJSON
import PosternSandboxWire

/// A tool's own failure; its text is the result that the model sees.
struct ToolFailure: Error {
    var text: String
    var refusal: FileRefusal?

    init(_ text: String, refusal: FileRefusal? = nil) {
        (self.text, self.refusal) = (text, refusal)
    }

    /// `<tool>: <path as the model wrote it>: <reason>`.
    init(_ tool: String, _ path: String, code: Int32) {
        text = "\(tool): \(path): \(SystemError.reason(code))"
        refusal = FileRefusal(errno: code)
    }
}

/// The arguments of a call. Each failure names the field and what it must be.
struct ToolInput {
    let tool: String
    private let members: JSONObject

    init(tool: String, _ input: JSON, allowed: [String]) throws(ToolFailure) {
        guard let members = input.object else { throw ToolFailure("\(tool): the input must be an object, it is \(Self.article(input.kind))") }
        if let unknown = members.keys.first(where: { !allowed.contains($0) }) {
            throw ToolFailure("\(tool): unknown argument '\(unknown)'; \(tool) takes \(allowed.joined(separator: ", "))")
        }
        self.tool = tool
        self.members = members
    }

    private func value(_ name: String) -> JSON? {
        guard let value = members[name], !value.isNull else { return nil }
        return value
    }

    private func wrong(_ name: String, _ wanted: String, _ value: JSON) -> ToolFailure {
        ToolFailure("\(tool): \(name) must be \(wanted), it is \(Self.article(value.kind))")
    }

    private static func article(_ kind: String) -> String {
        switch kind {
        case "null": "null"
        case "array", "object": "an \(kind)"
        default: "a \(kind)"
        }
    }

    func optionalString(_ name: String) throws(ToolFailure) -> String? {
        guard let value = value(name) else { return nil }
        guard let string = value.string else { throw wrong(name, "a string", value) }
        return string
    }

    func string(_ name: String) throws(ToolFailure) -> String {
        guard let string = try optionalString(name) else { throw ToolFailure("\(tool): \(name) is required") }
        return string
    }

    /// A path: a string that is not empty and holds no zero byte.
    func path(_ name: String) throws(ToolFailure) -> String {
        guard let path = try optionalPath(name) else { throw ToolFailure("\(tool): \(name) is required") }
        return path
    }

    func optionalPath(_ name: String) throws(ToolFailure) -> String? {
        guard let path = try optionalString(name) else { return nil }
        guard !path.isEmpty else { throw ToolFailure("\(tool): \(name) must not be empty") }
        guard !path.utf8.contains(0) else { throw ToolFailure("\(tool): \(name) must not contain a NUL character") }
        return path
    }

    func optionalBool(_ name: String) throws(ToolFailure) -> Bool? {
        guard let value = value(name) else { return nil }
        guard let bool = value.bool else { throw wrong(name, "true or false", value) }
        return bool
    }

    func optionalInt(_ name: String, in bounds: ClosedRange<Int>) throws(ToolFailure) -> Int? {
        guard let value = value(name) else { return nil }
        guard let int = value.int, bounds.contains(int) else {
            if value.double != nil { throw ToolFailure("\(tool): \(name) must be a whole number from \(bounds.lowerBound) to \(bounds.upperBound)") }
            throw wrong(name, "a whole number", value)
        }
        return int
    }

    /// Two whole numbers, first and last line.
    func optionalRange(_ name: String) throws(ToolFailure) -> (first: Int, last: Int)? {
        guard let value = value(name) else { return nil }
        guard let pair = value.array, pair.count == 2, let first = pair[0].int, let last = pair[1].int else {
            throw ToolFailure("\(tool): \(name) must be [start_line, end_line]")
        }
        return (first, last)
    }
}
