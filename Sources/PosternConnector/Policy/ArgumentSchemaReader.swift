import PosternGate
import PosternJSON
import PosternPolicy

extension DocumentReader {
    private static let words = [
        "type", "properties", "required", "additionalProperties", "enum", "const", "pattern", "minimum", "maximum", "minLength", "maxLength", "items",
        "minItems", "maxItems", "title", "description",
    ]
    private static let lengths = 0...(1 << 24)

    /// A schema in the words of `ArgumentSchema`. A word that is not among them is a problem: one that is passed over would allow what it forbids.
    mutating func schema(_ node: PolicyNode, _ path: PolicyPath) -> ArgumentSchema {
        let map = map(node, path, known: Self.words)
        var words = ArgumentSchema.Words()
        words.types = types(map)
        readObject(map, &words)
        readValues(map, &words)
        words.minimum = bound(map, "minimum")
        words.maximum = bound(map, "maximum")
        words.minLength = number(map, "minLength", in: Self.lengths)
        words.maxLength = number(map, "maxLength", in: Self.lengths)
        words.minItems = number(map, "minItems", in: Self.lengths)
        words.maxItems = number(map, "maxItems", in: Self.lengths)
        if let items = map["items"] { words.items = schema(items, path.key("items")) }
        demand(map, ["properties", "required", "additionalProperties"], [.object], words.types)
        demand(map, ["pattern", "minLength", "maxLength"], [.string], words.types)
        demand(map, ["minimum", "maximum"], [.number, .integer], words.types)
        demand(map, ["items", "minItems", "maxItems"], [.array], words.types)
        return .schema(words)
    }

    private mutating func types(_ map: Mapping) -> [ArgumentSchema.Kind] {
        guard let node = map["type"] else { return [] }
        var types: [ArgumentSchema.Kind] = []
        for element in node.elements ?? [node] {
            // A plain `null` of YAML is meant as the type of that name.
            let text = element.value == .null ? "null" : element.text ?? ""
            if let kind = ArgumentSchema.Kind(rawValue: text) {
                types.append(kind)
            } else {
                let names = ArgumentSchema.Kind.allCases.map(\.rawValue).joined(separator: ", ")
                add(element.place, map.path.key("type"), value: text, "must be one of \(names)")
            }
        }
        return types
    }

    /// By JSON Schema a word passes over values of other types: `pattern` alone would let every number through.
    private mutating func demand(_ map: Mapping, _ keys: [String], _ kinds: [ArgumentSchema.Kind], _ types: [ArgumentSchema.Kind]) {
        guard !types.contains(where: kinds.contains) else { return }
        for key in keys {
            guard let node = map[key] else { continue }
            add(
                node.place, map.path.key(key), "passes over values of other types",
                "write type: \(kinds.map(\.rawValue).joined(separator: " or ")) beside it")
        }
    }

    private mutating func readObject(_ map: Mapping, _ words: inout ArgumentSchema.Words) {
        if let node = map["properties"] {
            if let members = node.members {
                for member in members { words.properties[member.key] = schema(member.value, map.path.key("properties").key(member.key)) }
            } else {
                add(node.place, map.path.key("properties"), "must be a mapping of names to schemas, not \(node.kind)")
            }
        }
        words.required = list(map, "required") { (text) throws(PolicyValueError) in text } ?? []
        guard let node = map["additionalProperties"] else { return }
        switch node.value {
        case .boolean(let flag): words.additional = flag ? .any : .none
        default: words.additional = .schema(schema(node, map.path.key("additionalProperties")))
        }
    }

    private mutating func readValues(_ map: Mapping, _ words: inout ArgumentSchema.Words) {
        // Not by the subscript of the mapping: null is a value here.
        words.constant = map.node["const"]?.json
        if let node = map["enum"] {
            if let elements = node.elements, !elements.isEmpty {
                words.allowed = elements.map(\.json)
            } else {
                add(node.place, map.path.key("enum"), "must be a list of at least one value")
            }
        }
        guard let text = text(map, "pattern"), let node = map["pattern"] else { return }
        do throws(PatternError) {
            words.pattern = try WholePattern(text)
        } catch {
            add(node.place, map.path.key("pattern"), value: text, "is no pattern that is read here: \(error)")
        }
    }

    private mutating func bound(_ map: Mapping, _ key: String) -> JSON? {
        guard let node = map[key] else { return nil }
        switch node.value {
        case .integer(let number): return JSON(number)
        case .decimal(let number): return .double(number)
        default:
            add(node.place, map.path.key(key), "must be a number, not \(node.kind)")
            return nil
        }
    }
}
