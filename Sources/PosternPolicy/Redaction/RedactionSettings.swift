import PosternJSON

/// What the gate looks for besides the secrets of the session, which it always masks. Redaction is for accidents; what an agent means to
/// carry out is bounded by budgets and by the network's rules.
package struct RedactionSettings: Sendable, Hashable {
    /// What happens to text that leaves the perimeter and looks like something that should not, the mildest first.
    package enum Action: Int, Sendable, Hashable, CaseIterable, Comparable {
        case allow
        /// Replaced by a keyed digest: equal texts stay recognisable as equal.
        case hash
        /// Replaced by a word that names the kind.
        case mask
        /// The whole result or request is refused.
        case block

        package static func < (left: Action, right: Action) -> Bool { left.rawValue < right.rawValue }

        package var name: String {
            switch self {
            case .allow: "allow"
            case .hash: "hash"
            case .mask: "mask"
            case .block: "block"
            }
        }
    }

    /// Where text leaves the perimeter, and is looked at.
    package enum Door: String, Sendable, Hashable, CaseIterable {
        /// Results of tools, on their way to the model.
        case results
        /// Bodies of requests, on their way through the egress proxy.
        case egress
    }

    /// A regular expression of the operator's, in the gate's own linear-time syntax.
    package struct Pattern: Sendable, Hashable {
        /// Names the find in the text that takes its place, in counts and in the audit.
        package var name: String
        package var pattern: String
        package var action: Action

        package init(name: String, pattern: String, action: Action) {
            self.name = name
            self.pattern = pattern
            self.action = action
        }
    }

    /// Words of the operator's, one a line of a file of the perimeter.
    package struct Dictionary: Sendable, Hashable {
        package var name: String
        /// Absolute.
        package var file: String
        package var action: Action

        package init(name: String, file: String, action: Action) {
            self.name = name
            self.file = file
            self.action = action
        }
    }

    /// By detector; one that is not named does nothing.
    package var detectors: [String: Action] = [:]
    package var patterns: [Pattern] = []
    package var dictionaries: [Dictionary] = []
    package var doors: Set<Door> = [.results]

    package init() {}

    /// Everything that either looks for, each with the stricter action, at the doors of either.
    package func narrowed(by other: RedactionSettings) -> RedactionSettings {
        var both = self
        both.doors.formUnion(other.doors)
        both.detectors.merge(other.detectors) { max($0, $1) }
        for pattern in other.patterns {
            if let index = both.patterns.firstIndex(where: { $0.name == pattern.name && $0.pattern == pattern.pattern }) {
                both.patterns[index].action = max(both.patterns[index].action, pattern.action)
            } else {
                both.patterns.append(pattern)
            }
        }
        for dictionary in other.dictionaries {
            if let index = both.dictionaries.firstIndex(where: { $0.name == dictionary.name && $0.file == dictionary.file }) {
                both.dictionaries[index].action = max(both.dictionaries[index].action, dictionary.action)
            } else {
                both.dictionaries.append(dictionary)
            }
        }
        return both
    }
}

extension RedactionSettings {
    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        for (name, value) in fields.member("detectors")?.object ?? [:] {
            detectors[name] = try Action(json: value)
        }
        patterns = try fields.list("patterns") { (json: JSON) throws(PolicyValueError) in
            var fields = try FieldReader(json)
            let pattern = Pattern(
                name: try fields.required("name"), pattern: try fields.required("pattern"),
                action: try Action(json: fields.member("action") ?? "mask"))
            try fields.finish()
            return pattern
        }
        dictionaries = try fields.list("dictionaries") { (json: JSON) throws(PolicyValueError) in
            var fields = try FieldReader(json)
            let dictionary = Dictionary(
                name: try fields.required("name"), file: try fields.required("file"),
                action: try Action(json: fields.member("action") ?? "mask"))
            try fields.finish()
            return dictionary
        }
        if fields.member("doors") != nil {
            doors = Set(
                try fields.list("doors") { (json: JSON) throws(PolicyValueError) -> Door in
                    guard let door = json.string.flatMap(Door.init(rawValue:)) else {
                        throw PolicyValueError(value: json.text, rule: "must be one of \(Door.allCases.map(\.rawValue).joined(separator: ", "))")
                    }
                    return door
                })
        }
        try fields.finish()
    }

    package var json: JSON {
        [
            "doors": .array(Door.allCases.filter(doors.contains).map { .string($0.rawValue) }),
            "detectors": .object(JSONObject(detectors.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value.name)) })),
            "patterns": .array(
                patterns.map { ["name": .string($0.name), "pattern": .string($0.pattern), "action": .string($0.action.name)] }),
            "dictionaries": .array(
                dictionaries.map { ["name": .string($0.name), "file": .string($0.file), "action": .string($0.action.name)] }),
        ]
    }
}

extension RedactionSettings.Action {
    fileprivate init(json: JSON) throws(PolicyValueError) {
        guard let action = Self.allCases.first(where: { $0.name == json.string }) else {
            throw PolicyValueError(value: json.text, rule: "must be one of \(Self.allCases.map(\.name).joined(separator: ", "))")
        }
        self = action
    }
}
