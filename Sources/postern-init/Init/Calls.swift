import Glibc
import PosternJSON
import PosternSandboxWire

/// A bash call that runs or waits for its turn.
struct BashCall {
    let id: Int
    /// Names the offload file.
    let name: String
    let command: String
    let timeoutMilliseconds: Int
    var started = 0
    var collector: OutputCollector?
    /// Said before the output: that the shell is a new one.
    var notice: String?

    var deadline: Int { started + timeoutMilliseconds * 1000 }
}

/// A file tool that runs in a process of its own.
struct ToolProcess {
    let id: Int
    let request: ToolRequest
    var pid: pid_t
    /// Where it leaves its result.
    var result: Int32
    var started: Int
    var deadline: Int
    var timedOut = false
    var cancelled = false
    var attempts = 1
}

/// A command started with descriptors of the caller's.
struct ExecuteCall {
    let id: Int
    let pid: pid_t
    let started: Int
}

/// What a tool call asks for.
struct ToolRequest {
    let name: String
    let input: JSON
    /// The event id.
    let call: String
}

/// What a tool call answers, before it is wrapped for the wire.
struct ToolAnswer {
    var content: [JSON]
    var isError = false
    /// Of the whole output.
    var bytes = 0
    var lines = 0
    var offloadedTo: String?
    /// Of a file tool.
    var refusal: FileRefusal?

    /// One text block; empty text is shown as `(no output)`, since empty blocks are refused by the API.
    init(text: String, isError: Bool = false, bytes: Int? = nil, lines: Int? = nil, offloadedTo: String? = nil) {
        content = [["type": "text", "text": .string(text.isEmpty ? "(no output)" : text)]]
        self.isError = isError
        self.bytes = bytes ?? text.utf8.count
        self.lines = lines ?? text.utf8.reduce(text.isEmpty || text.hasSuffix("\n") ? 0 : 1) { $0 + ($1 == 0x0A ? 1 : 0) }
        self.offloadedTo = offloadedTo
    }

    init(block: JSON, bytes: Int) {
        content = [block]
        self.bytes = bytes
    }

    init(_ output: CollectedOutput, isError: Bool = false) {
        self.init(text: output.text, isError: isError, bytes: output.bytes, lines: output.lines, offloadedTo: output.offloadedTo)
    }

    var json: JSON {
        [
            "content": .array(content), "is_error": .bool(isError), "bytes": JSON(bytes), "lines": JSON(lines), "offloaded_to": JSON(offloadedTo),
            "refusal": JSON(refusal?.rawValue),
        ]
    }
}
