import PosternJSON

/// The six tools of `agent_toolset_20260401` that a worker serves, as the model is told of them: with the worker's full inputs
/// (contract section 8), which is more than the reference offers. `web_fetch` and `web_search` run on a server and are not built.
enum AgentToolset {
    struct Definition: Sendable {
        var name: String
        var json: JSON
    }

    /// Running these twice changes nothing, so a call whose outcome is unknown may be offered again.
    static let idempotent: Set<String> = ["read", "glob", "grep"]

    static let definitions: [Definition] = [
        define(
            "bash",
            """
            Runs a command in a bash shell that lives as long as the session: the working directory, variables and background jobs \
            stay between calls. Commands read an empty standard input; standard output and standard error come back together. A very long output is \
            written to a file and the result shows its start, its end and the file's path. After a time-out or an `exit` the next call gets a fresh shell.
            """,
            [
                "command": text("The command to run."),
                "restart": ["type": "boolean", "description": "Start a fresh shell instead of running a command."],
                "timeout_ms": [
                    "type": "integer", "minimum": 1, "description": "Milliseconds after which the command is killed; 120000 unless given.",
                ],
            ], required: []),
        define(
            "read",
            """
            Reads a text file, or an image or PDF by its extension. Relative paths start at the working directory. `view_range` picks lines, counted \
            from 1, both ends included; an end of -1 means the end of the file.
            """,
            [
                "file_path": text("The file to read."),
                "view_range": ["type": "array", "items": ["type": "integer"], "minItems": 2, "maxItems": 2, "description": "First and last line."],
            ], required: ["file_path"]),
        define(
            "write", "Writes a file, replacing what was there, and makes the folders that are missing.",
            ["file_path": text("The file to write."), "content": text("The whole new content.")], required: ["file_path", "content"]),
        define(
            "edit", "Replaces a text in a file. `old_string` must occur exactly once unless `replace_all` is true.",
            [
                "file_path": text("The file to change."),
                "old_string": ["type": "string", "minLength": 1, "description": "The exact text to replace."],
                "new_string": text("What to put in its place."),
                "replace_all": ["type": "boolean", "description": "Replace every occurrence."],
            ], required: ["file_path", "old_string", "new_string"]),
        define(
            "glob", "Lists files that match a pattern such as `src/**/*.swift`, newest first, 200 at most.",
            ["pattern": text("A relative pattern."), "path": text("The folder to search; the working directory unless given.")], required: ["pattern"]
        ),
        define(
            "grep", "Searches file contents for a regular expression and prints the matching lines with file and line number.",
            ["pattern": text("The regular expression."), "path": text("A file or folder; the working directory unless given.")], required: ["pattern"]
        ),
    ]

    private static func text(_ description: String) -> JSON { ["type": "string", "description": .string(description)] }

    private static func define(_ name: String, _ description: String, _ properties: JSONObject, required: [JSON]) -> Definition {
        Definition(
            name: name,
            json: [
                "name": .string(name), "description": .string(description),
                "input_schema": [
                    "type": "object", "properties": .object(properties), "required": .array(required), "additionalProperties": false,
                ],
            ])
    }
}
