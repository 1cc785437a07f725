import PosternGate
import PosternJSON
import PosternPolicy

/// As the control socket carries them: dictionaries with their words, since the proxy reads no file of the perimeter.
extension RedactionRules {
    package var json: JSON {
        [
            "detectors": .object(
                JSONObject(detectors.sorted { $0.key.rawValue < $1.key.rawValue }.map { ($0.key.rawValue, .string($0.value.rawValue)) })),
            "patterns": .array(
                patterns.map {
                    [
                        "name": .string($0.name), "pattern": .string($0.pattern), "ignores_case": .bool($0.ignoresCase),
                        "action": .string($0.action.rawValue),
                    ]
                }),
            "dictionaries": .array(
                dictionaries.map {
                    [
                        "name": .string($0.name), "words": .array($0.words.map(JSON.string)), "ignores_case": .bool($0.ignoresCase),
                        "whole_words": .bool($0.wholeWords), "action": .string($0.action.rawValue),
                    ]
                }),
        ]
    }

    package init(json: JSON) throws(PolicyValueError) {
        self.init()
        var fields = try FieldReader(json)
        for (name, value) in fields.member("detectors")?.object ?? [:] {
            guard let detector = RedactionDetector(rawValue: name), let action = value.string.flatMap(RedactionAction.init(rawValue:)) else {
                throw PolicyValueError(path: ["detectors"], value: name, rule: "is no detector with an action of the gate")
            }
            detectors[detector] = action
        }
        patterns = try fields.list("patterns") { (json: JSON) throws(PolicyValueError) in
            var fields = try FieldReader(json)
            return NamedPattern(
                name: try fields.required("name"), pattern: try fields.required("pattern"), ignoresCase: try fields.bool("ignores_case") ?? false,
                action: try fields.choice("action", RedactionAction.self) ?? .block)
        }
        dictionaries = try fields.list("dictionaries") { (json: JSON) throws(PolicyValueError) in
            var fields = try FieldReader(json)
            return Dictionary(
                name: try fields.required("name"), words: try fields.strings("words"), ignoresCase: try fields.bool("ignores_case") ?? true,
                wholeWords: try fields.bool("whole_words") ?? true, action: try fields.choice("action", RedactionAction.self) ?? .block)
        }
        try fields.finish()
    }
}
