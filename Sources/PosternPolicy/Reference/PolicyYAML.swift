import PosternJSON

extension Policy {
    /// The policy as a document of its own, in YAML with units that people read. Read again it gives an equal policy, unless it has been
    /// narrowed: the lists that hold beside its own have no place in a document and stand in comments.
    package var yaml: String {
        var text = YAMLWriter.text(of: Self.readable(document, .object(PolicySchema.document)))
        for (name, lists) in [("network.rules", json["network"]?["ceilings"]), ("tools", json["tools"]?["ceilings"])] {
            for list in lists?.array ?? [] {
                text += "# beside \(name) this holds too:\n"
                text += YAMLWriter.text(of: list).split(separator: "\n").map { "#   \($0)\n" }.joined()
            }
        }
        return text
    }

    /// The same, without what the profile says by itself where nothing but rules and addresses of the network stand beside it.
    package var shortYAML: String {
        let base = PolicyReader.profile(profile).policy
        var rest = self
        (rest.name, rest.network.rules, rest.network.addresses) = (base.name, base.network.rules, base.network.addresses)
        guard rest == base, base.network.rules.isEmpty, base.network.addresses.allowed.isEmpty else { return yaml }
        var members: JSONObject = ["rules": .array(network.rules.map(\.json))]
        if !network.addresses.allowed.isEmpty { members["addresses"] = network.addresses.json }
        return YAMLWriter.text(
            of: [
                "version": JSON(Self.version), "name": .string(name), "extends": .string(profile.rawValue), "network": .object(members),
            ])
    }

    /// The JSON of the policy in the form of a document.
    private var document: JSON {
        guard var members = json.object else { return json }
        let base = PolicyReader.profile(profile).policy
        var files = members["files"]?.object ?? [:]
        files["hidden"] = Self.difference(self.files.hidden, base.files.hidden)
        files["protected"] = Self.difference(self.files.protected, base.files.protected)
        members["files"] = .object(files)
        for section in ["network", "tools"] {
            var object = members[section]?.object ?? [:]
            object["ceilings"] = nil
            members[section] = .object(object)
        }
        var egress = network.budgets.json.object ?? [:]
        for key in ["call", "host", "session", "day"] where egress[key] == nil { egress[key] = .string(SchemaKind.none) }
        var results = resultBudgets.json.object ?? [:]
        for key in ["result", "session", "day"] where results[key] == nil { results[key] = .string(SchemaKind.none) }
        members["budgets"] = ["results": .object(results), "egress": .object(egress)]
        // A detector that the profile names and this policy does not would come back by itself.
        var detectors = redaction.detectors.mapValues(\.name)
        for name in base.redaction.detectors.keys where detectors[name] == nil { detectors[name] = "allow" }
        var redaction = members["redaction"]?.object ?? [:]
        redaction["detectors"] = .object(JSONObject(detectors.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        members["redaction"] = .object(redaction)
        members["profile"] = nil
        let head: JSONObject = ["version": JSON(Self.version), "name": .string(name), "extends": .string(profile.rawValue)]
        return .object(JSONObject(head.map { ($0.key, $0.value) } + members.filter { head[$0.key] == nil }.map { ($0.key, $0.value) }))
    }

    private static func difference(_ globs: [PathGlob], _ base: [PathGlob]) -> JSON {
        let gone = base.filter { !globs.contains($0) }.map { JSON.string("!\($0)") }
        return .array(gone + globs.filter { !base.contains($0) }.map { .string($0.description) })
    }

    /// Numbers with their units.
    private static func readable(_ json: JSON, _ kind: SchemaKind) -> JSON {
        switch (kind, json) {
        case (.bytes, .int(let number)): .string(Quantity.text(bytes: Int(number)))
        case (.rate, .int(let number)): .string(Quantity.text(bytes: Int(number)) + "/s")
        case (.duration, .string(let text)): Quantity.milliseconds(text).map { .string(Quantity.text(milliseconds: $0)) } ?? json
        case (.bound(let kind), _): readable(json, kind)
        case (.list(let element, _), .array(let elements)), (.oneOrList(let element, _), .array(let elements)):
            .array(elements.map { readable($0, element) })
        case (.map(_, let value, _), .object(let object)): .object(JSONObject(object.map { ($0.key, readable($0.value, value)) }))
        case (.object(let fields), .object(let object)):
            .object(
                JSONObject(
                    object.map { key, value in
                        (key, fields.first { $0.name == key }.map { readable(value, $0.kind) } ?? value)
                    }))
        default: json
        }
    }
}

/// Writes JSON as block-style YAML that this module reads back to the same values.
enum YAMLWriter {
    static func text(of json: JSON) -> String {
        var lines: [String] = []
        switch json {
        case .object(let object) where !object.isEmpty: members(object, 0, &lines)
        case .array(let elements) where !elements.isEmpty: list(elements, 0, &lines)
        default: lines.append(scalar(json))
        }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func members(_ object: JSONObject, _ level: Int, _ lines: inout [String]) {
        let space = String(repeating: "  ", count: level)
        for (key, value) in object {
            let name = space + scalar(.string(key)) + ":"
            switch value {
            case .object(let inner) where !inner.isEmpty:
                lines.append(name)
                members(inner, level + 1, &lines)
            case .array(let elements) where !isShort(elements):
                lines.append(name)
                list(elements, level + 1, &lines)
            default: lines.append("\(name) \(scalar(value))")
            }
        }
    }

    private static func list(_ elements: [JSON], _ level: Int, _ lines: inout [String]) {
        let space = String(repeating: "  ", count: level)
        for element in elements {
            guard case .object(let object) = element, !object.isEmpty else {
                lines.append("\(space)- \(scalar(element))")
                continue
            }
            let first = lines.count
            members(object, level + 1, &lines)
            lines[first] = space + "- " + lines[first].dropFirst(space.count + 2)
        }
    }

    /// Texts in one line of moderate length.
    private static func isShort(_ elements: [JSON]) -> Bool {
        elements.isEmpty
            || elements.allSatisfy { element in
                switch element {
                case .array, .object: false
                default: true
                }
            } && elements.reduce(0) { $0 + scalar($1).count + 2 } <= 100
    }

    /// JSON's quotes are YAML's, but YAML takes fewer characters as they are, and `&` could be taken for an anchor.
    private static func quoted(_ text: String) -> String {
        var output = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case _ where scalar == "&", .control, .lineSeparator, .paragraphSeparator, .format:
                let digits = String(scalar.value, radix: 16)
                output += scalar.value > 0xFFFF ? "\\U" : "\\u"
                output += String(repeating: "0", count: (scalar.value > 0xFFFF ? 8 : 4) - digits.count) + digits
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output
    }

    private static func scalar(_ json: JSON) -> String {
        switch json {
        case .string(let text): YAMLScalar.isPlainText(text) ? text : quoted(json.text)
        case .array(let elements): "[" + elements.map { scalar($0) }.joined(separator: ", ") + "]"
        case .object(let object): object.isEmpty ? "{}" : json.text
        default: json.text
        }
    }
}
