/// Every key of a policy document. The reader, the reference page (`postern docs policy`) and the JSON Schema are made from it.
package enum PolicySchema {
    package static let document: [SchemaField] = [
        SchemaField("version", .integer(1...1), required: true, "Version of this format."),
        SchemaField("name", .text(.line(most: 100)), default: "the file's name", "For people: in `show`, in the audit, in refusals."),
        SchemaField(
            "extends",
            .choice([
                SchemaChoice("strict", "no network until rules name hosts, small limits, credentials hidden"),
                SchemaChoice("build", "as `strict`, with room for compilers, and with `network.registries`"),
                SchemaChoice("offline", "as `strict`, and nothing can open the network"),
            ]), default: "strict", "The profile that holds where this document says nothing."),
        SchemaField("match", .object(match), default: "every session", "Which sessions the policy is for; all that is given must match."),
        SchemaField("files", .object(files), "Files of the host besides the system's small root and the workspace."),
        SchemaField("workspace", .object(workspace), "The session's folder."),
        SchemaField("network", .object(NetworkSchema.network), "What leaves through the egress proxy; there is no other way out."),
        SchemaField(
            "secrets", .map(key: .identifier, .object(NetworkSchema.secret), most: 128), default: "none",
            "By name. The sandbox sees a placeholder; the egress proxy puts the value in its place."),
        SchemaField(
            "forwards", .list(.object(NetworkSchema.forward), most: 64), default: "none", "Ports in the sandbox that lead to one host outside."),
        SchemaField("limits", .object(limits), "What one sandbox may use. Reaching one is an error of that call; the session goes on."),
        SchemaField("budgets", .object(budgets), "Bytes that may leave the perimeter."),
        SchemaField(
            "variables", .map(key: .variable, .text(value), most: 128), default: "none",
            "Environment variables of the sandbox. No secrets: they stand in the policy and the agent reads them."),
        SchemaField("tools", .object(tools), "Which tools may be called. `deny` wins over `ask`, `ask` over `allow`; what nothing names is denied."),
        SchemaField(
            "redaction", .object(redaction),
            "What the gate looks for in results, requests and answers, besides the session's secrets, which it always masks."),
        SchemaField(
            "require_all_layers", .boolean, default: "false", "Start no sandbox on a machine where one of the layers is not in force."),
    ]

    private static let match: [SchemaField] = [
        SchemaField(
            "environments", .oneOrList(.text(.textGlob), most: 64), default: "every environment",
            "Patterns over the environment's id, or over the name that the worker was given with `--environment-name`. What the control plane calls "
                + "the environment does not count."),
        SchemaField(
            "agents", .oneOrList(.text(.textGlob), most: 64), default: "every agent",
            "Patterns over the id or the name, as the control plane says them."),
    ]

    private static let files: [SchemaField] = [
        SchemaField(
            "read", .list(.text(.absolutePath), most: 256), default: "none", "Host paths that are in the sandbox at the same place, read-only."),
        SchemaField("write", .list(.text(.absolutePath), most: 256), default: "none", "The same, writable."),
        SchemaField(
            "hidden", .list(.text(.pathGlob), most: 512), default: "what the profile hides", adds: true,
            "Masked in the workspace and in bound trees where it exists when the sandbox starts. Wins over everything else."),
        SchemaField(
            "protected", .list(.text(.pathGlob), most: 512), default: "what the profile protects", adds: true,
            "Read-only in the workspace and in bound trees where it exists when the sandbox starts."),
    ]

    private static let workspace: [SchemaField] = [
        SchemaField(
            "mode",
            .choice([
                SchemaChoice("rw", "changes are made in the folder itself"),
                SchemaChoice("cow", "changes go to a layer that the operator applies or discards"),
                SchemaChoice("ro", "read-only"),
            ]), default: "rw", "How the folder may be used.")
    ]

    private static let limits: [SchemaField] = ResourceLimits.fields.map { field in
        SchemaField(field.name, .bound(field.kind), default: "the profile's", field.help)
    }

    private static let bytes = SchemaKind.bound(.bytes(0...Int.max))

    private static let budgets: [SchemaField] = [
        SchemaField(
            "results",
            .object([
                SchemaField("result", bytes, default: "the profile's", "One tool result."),
                SchemaField("session", bytes, default: "the profile's", "All tool results of one session."),
                SchemaField("day", bytes, default: "the profile's", "All tool results of one session from midnight to midnight UTC."),
            ]), "Tool results, as they are sent."),
        SchemaField(
            "egress",
            .object([
                SchemaField("call", bytes, default: "the profile's", "One request, or one opaque connection."),
                SchemaField("host", bytes, default: "the profile's", "To one host in one session."),
                SchemaField("session", bytes, default: "the profile's", "All that one session sends."),
                SchemaField("day", bytes, default: "the profile's", "All that one session sends from midnight to midnight UTC."),
                SchemaField(
                    "overrun",
                    .choice([SchemaChoice("fail", "the request is refused"), SchemaChoice("ask", "the perimeter is asked and the request waits")]),
                    default: "fail", "What happens to a request over a budget."),
            ]), "What is sent through the egress proxy; what comes back does not count."),
    ]

    private static let tools: [SchemaField] = [
        SchemaField("allow", .list(.text(.textGlob), most: 256), default: "`[\"*\"]`", "Patterns over the tool's name."),
        SchemaField("deny", .list(.text(.textGlob), most: 256), default: "none", adds: true, "Patterns over the tool's name."),
        SchemaField(
            "ask", .list(.object(question), most: 256), default: "none", adds: true,
            "Calls that somebody inside the perimeter approves before they run. For what agents do in good faith: a shell can write one command in many ways."
        ),
    ]

    private static let question: [SchemaField] = [
        SchemaField("tool", .oneOrList(.text(.textGlob), most: 64), required: true, "Patterns over the tool's name, of which one must match."),
        SchemaField(
            "when", .map(key: .jsonPointer, .oneOrList(.text(.textGlob), most: 64), most: 16), default: "every call",
            "JSON pointers into the arguments, each with patterns of which one must match; all pointers must match."),
        SchemaField("reason", .text(.line(most: 300)), default: "none", "Shown to whoever is asked."),
    ]

    private static let actions = SchemaKind.choice([
        SchemaChoice("allow", "passes"), SchemaChoice("mask", "replaced by a word that names the kind"),
        SchemaChoice("hash", "replaced by a keyed digest"), SchemaChoice("block", "the whole result or request is refused"),
    ])

    private static let redaction: [SchemaField] = [
        SchemaField(
            "detectors", .map(key: .detector, actions, most: 64), default: "the profile's", "Detectors that come with Postern, each with what to do."),
        SchemaField(
            "patterns",
            .list(
                .object([
                    SchemaField("name", .text(.identifier), required: true, "Stands in the text's place, in counts and in the audit."),
                    SchemaField("pattern", .text(.line("regular expression", most: 1000)), required: true, "In the gate's linear-time syntax."),
                    SchemaField("action", actions, default: "mask", "What to do with a match."),
                ]), most: 128), default: "none", "Regular expressions of the operator's."),
        SchemaField(
            "dictionaries",
            .list(
                .object([
                    SchemaField("name", .text(.identifier), required: true, "Stands in the word's place, in counts and in the audit."),
                    SchemaField("file", .text(.absolutePath), required: true, "Words of the operator's, one a line."),
                    SchemaField("action", actions, default: "mask", "What to do with a word."),
                ]), most: 32), default: "none", "Lists of words, such as names of customers."),
        SchemaField(
            "doors",
            .oneOrList(
                .choice([
                    SchemaChoice("results", "results of tools, on their way to the model"),
                    SchemaChoice("egress", "bodies of requests, on their way through the egress proxy"),
                ]), most: 2), default: "results",
            "Where detectors, patterns and dictionaries are looked for. In a request whose length is promised and that is longer than 64 KiB, nothing can be replaced: it is refused instead."
        ),
    ]

    private static let value = TextFormat("text of at most 4096 bytes") { text throws(PolicyValueError) in
        guard text.utf8.count <= 4096, !text.unicodeScalars.contains("\0") else {
            throw PolicyValueError(value: text, rule: "must have at most 4096 bytes and no NUL")
        }
        return text
    }
}

extension TextFormat {
    /// What the gate can look for by itself.
    package static let detectors = [
        "anthropic-key", "aws-access-key", "aws-secret-key", "basic-credentials", "bearer-token", "card-number", "email", "github-token",
        "gitlab-token", "google-key", "hugging-face-token", "iban", "jwt", "npm-token", "openai-key", "private-key", "pypi-token", "sendgrid-key",
        "slack-token", "slack-webhook", "stripe-key", "url-password", "vault-token",
    ]

    static let detector = TextFormat("detector: \(detectors.map { "`\($0)`" }.joined(separator: ", "))") { text throws(PolicyValueError) in
        guard detectors.contains(text) else {
            let near = EditDistance.suggestion(for: text, among: detectors)
            throw PolicyValueError(
                value: text, rule: "is no detector", remedy: near.isEmpty ? "known are \(detectors.joined(separator: ", "))" : near)
        }
        return text
    }
}
