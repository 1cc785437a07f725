/// Lays a document over the profile that it extends.
///
/// Mappings are merged key by key. A list, a text or a number takes the place of the profile's; only lists that forbid (`hidden`,
/// `protected`, `tools.deny`, `tools.ask`) are put behind the profile's, where a text `!x` takes the profile's entry `x` out.
struct DocumentOverlay {
    private(set) var problems: [PolicyProblem] = []

    mutating func lay(_ top: PolicyNode, over base: PolicyNode, fields: [SchemaField], at path: PolicyPath = PolicyPath()) -> PolicyNode {
        guard let lower = base.members, let upper = top.members else { return top }
        var members = lower
        for member in upper {
            // Keys do not repeat in a document, so only the profile's few are looked through.
            guard let index = lower.firstIndex(where: { $0.key == member.key }) else {
                members.append(member)
                continue
            }
            members[index].keyPlace = member.keyPlace
            let field = fields.first { $0.name == member.key }
            members[index].value = lay(member.value, over: members[index].value, field, path.key(member.key))
        }
        return PolicyNode(.map(members), at: top.place)
    }

    private mutating func lay(_ top: PolicyNode, over base: PolicyNode, _ field: SchemaField?, _ path: PolicyPath) -> PolicyNode {
        switch field?.kind {
        case .object(let fields): return lay(top, over: base, fields: fields, at: path)
        case .map: return lay(top, over: base, fields: [], at: path)
        case .list where field?.addsToProfile == true: return add(top, to: base, path)
        default: return top
        }
    }

    private mutating func add(_ top: PolicyNode, to base: PolicyNode, _ path: PolicyPath) -> PolicyNode {
        guard let upper = top.elements, var elements = base.elements else { return top }
        for element in upper {
            guard let text = element.text, text.hasPrefix("!") else {
                // The profile's entry may be written again; that is no repetition in the document.
                if let index = elements.firstIndex(where: { $0.json == element.json && $0.place.file != element.place.file }) {
                    elements.remove(at: index)
                }
                elements.append(element)
                continue
            }
            let name = String(text.dropFirst())
            if let index = elements.firstIndex(where: { $0.text == name }) {
                elements.remove(at: index)
            } else {
                let near = EditDistance.suggestion(for: name, among: (base.elements ?? []).compactMap(\.text))
                problems.append(
                    PolicyProblem(
                        at: element.place, path: path.description, value: text, rule: "takes out an entry that the profile does not have",
                        remedy: near))
            }
        }
        return PolicyNode(.list(elements), at: top.place)
    }
}
