import PosternJSON

/// A content block on its way: what its start said, and what its deltas added. Types and fields nobody knows are kept as they come.
struct StreamedBlock {
    private var object: JSONObject
    /// Pieces of a text field are collected here and joined once, so that a long answer costs a linear amount of work.
    private var texts: [String: [UInt8]] = [:]
    /// The source of a tool's input.
    private var input: [UInt8] = []
    private(set) var isStopped = false

    init(start: JSONObject) { object = start }

    var type: String { object["type"]?.string ?? "" }

    /// Adds a delta. Returns the text it adds to a text block, for a preview.
    mutating func add(_ delta: JSONObject) -> String? {
        var preview: String?
        for (key, value) in delta where key != "type" {
            switch (delta["type"]?.string, key, value) {
            case ("input_json_delta", "partial_json", .string(let piece)): input.append(contentsOf: piece.utf8)
            case ("citations_delta", "citation", _):
                let before = object["citations"]?.array ?? []
                object["citations"] = .array(before + [value])
            case ("signature_delta", "signature", _): object["signature"] = value
            case (let type, _, .string(let piece)):
                texts[key, default: Array((object[key]?.string ?? "").utf8)].append(contentsOf: piece.utf8)
                if type == "text_delta", key == "text" { preview = piece }
            case (_, _, .array(let elements)): object[key] = .array((object[key]?.array ?? []) + elements)
            default: object[key] = value
            }
        }
        return preview
    }

    mutating func stop() { isStopped = true }

    /// The whole block. An input that was cut off, is no JSON or no object becomes `{}`, as the reference does.
    var value: JSON {
        var object = object
        for (key, bytes) in texts { object[key] = .string(String(decoding: bytes, as: UTF8.self)) }
        if !input.isEmpty {
            let parsed = try? JSON(parsing: input)
            object["input"] = parsed?.object == nil ? .object([:]) : parsed
        } else if type == "tool_use", object["input"]?.object == nil {
            object["input"] = .object([:])
        }
        return .object(object)
    }
}
