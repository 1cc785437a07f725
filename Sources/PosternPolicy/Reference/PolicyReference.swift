/// The page docs/policy-reference.md, made from the schema, the profiles and the denials.
package enum PolicyReference {
    package static var page: String {
        var lines = [
            "<!-- Made by `postern docs policy`; `make check` holds it against the code. Edit Sources/PosternPolicy. -->",
            "# Policy reference", "",
            "Every key of a policy. What it is for and how to write one is told in [policy.md](policy.md). A key that is not listed here, a wrong type or a",
            "value out of bounds is an error with file, line and column. Numbers of bytes and times have units: `B`, `KiB`, `MiB`, `GiB`, `TiB` (or `kB`, `MB`,",
            "`GB`, `TB`), and `ms`, `s`, `m`, `h`, `d`. YAML anchors, aliases and tags are refused; text that begins with `*`, `!` or `&` stands in quotes.",
            "", "## Keys",
        ]
        lines += table(PolicySchema.document)
        lines += [
            "", "## Keys of a fragment", "",
            "The value of `\(PolicyFragment.metadataKey)` in the metadata of an environment or a session: a JSON object with these keys, or a JSON list of names of",
            "rules, forwards and secrets that stay. It can only narrow; one that cannot be read stops the session.",
        ]
        lines += table(FragmentSchema.fields)
        for profile in Profile.allCases {
            lines += ["", "## Profile `\(profile.rawValue)`", "", "```yaml"]
            lines += YAMLWriter.text(of: profile.document.json).split(separator: "\n").map(String.init)
            lines.append("```")
        }
        lines += [
            "", "## What no policy can open", "",
            "These paths, with all that is below them: " + MandatoryDenials.builtInTrees.map { "`\($0)`" }.joined(separator: ", ") + ".", "",
            "These names anywhere: " + MandatoryDenials.builtInGlobs.map { "`\($0)`" }.joined(separator: ", ") + ".", "",
            "The worker's own configuration, policies, credentials, state folder and sockets, wherever they are. The metadata services of clouds. Variables whose",
            "names begin with " + VariableName.reservedPrefixes.map { "`\($0)`" }.joined(separator: " or ") + ", and "
                + (VariableName.loaders + VariableName.proxies).map { "`\($0)`" }.joined(separator: ", ") + ".",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    private static func table(_ fields: [SchemaField]) -> [String] {
        ["", "| key | value | default | what |", "| --- | --- | --- | --- |"] + rows(fields, "")
    }

    private static func rows(_ fields: [SchemaField], _ prefix: String) -> [String] {
        fields.flatMap { field in
            let name = prefix + field.name
            let required = field.isRequired ? "**required**" : field.fallback ?? ""
            let adds = field.addsToProfile ? " Adds to the profile's; `!x` takes its entry `x` out." : ""
            let row = "| `\(name)` | \(value(field.kind)) | \(required) | \(field.help)\(adds)\(choices(field.kind)) |"
            return [row] + inner(field.kind, name)
        }
    }

    /// `|` would end a cell.
    private static func value(_ kind: SchemaKind) -> String { kind.summary.replacing("|", with: "\\|") }

    private static func inner(_ kind: SchemaKind, _ name: String) -> [String] {
        switch kind {
        case .object(let fields): rows(fields, name + ".")
        case .list(let element, _), .oneOrList(let element, _): inner(element, name + "[]")
        case .map(_, let value, _): inner(value, name + ".NAME")
        default: []
        }
    }

    private static func choices(_ kind: SchemaKind) -> String {
        switch kind {
        case .choice(let choices): " " + choices.map { "`\($0.name)`: \($0.help)." }.joined(separator: " ")
        case .list(let kind, _), .oneOrList(let kind, _), .map(_, let kind, _), .bound(let kind): choices(kind)
        default: ""
        }
    }
}
