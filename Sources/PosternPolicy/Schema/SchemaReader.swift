import PosternJSON

/// Holds a document against a schema. Everything that does not fit becomes a problem; what fits comes out as JSON in the one spelling that
/// digests and typed values are made from.
package struct SchemaReader {
    package private(set) var problems: [PolicyProblem] = []
    /// Where each value of the result was written.
    package private(set) var places: [PolicyPath: SourcePlace] = [:]

    /// Problems of one document; nobody reads more, and a text of nothing but mistakes must not cost more than it is long.
    package static let maximumProblems = 100

    package init() {}

    /// The value of `node`, or `nil` where it does not fit. Members that do not fit are left out; an element of a list that does not fit is
    /// null, so that those behind it keep their index.
    package mutating func read(_ node: PolicyNode, as kind: SchemaKind, at path: PolicyPath = PolicyPath()) -> JSON? {
        places[path] = node.place
        switch kind {
        case .text(let format): return text(node, format, path)
        case .boolean:
            guard case .boolean(let flag) = node.value else { return refuse(node, path, "must be true or false, not \(node.kind)") }
            return .bool(flag)
        case .integer(let range):
            guard case .integer(let number) = node.value else { return refuse(node, path, "must be a whole number, not \(node.kind)") }
            return within(range, number, node, path, "\(range.lowerBound)", "\(range.upperBound)").map { JSON($0) }
        case .bytes, .rate, .duration, .percent: return quantity(node, kind, path)
        case .choice(let choices): return choice(node, choices.map(\.name), path)
        case .list(let element, let most):
            guard let elements = node.elements else { return refuse(node, path, "must be a list, not \(node.kind)") }
            return list(elements, element, most, node, path)
        case .oneOrList(let element, let most): return list(node.elements ?? [node], element, most, node, path)
        case .map(let key, let value, let most): return map(node, key, value, most, path)
        case .object(let fields): return object(node, fields, path)
        case .bound(let kind): return node.value == .text(SchemaKind.none) ? .string(SchemaKind.none) : read(node, as: kind, at: path)
        }
    }

    /// Adds what a check beyond the schema found below `path`.
    package mutating func add(_ error: PolicyValueError, at path: PolicyPath) {
        let whole = path.below(error.path)
        add(
            PolicyProblem(
                at: place(of: whole), path: whole.description, value: error.value.isEmpty ? nil : error.value, rule: error.rule,
                remedy: error.remedy))
    }

    package mutating func add(_ problem: PolicyProblem) {
        guard problems.count < Self.maximumProblems else { return }
        if !problems.contains(problem) { problems.append(problem) }
    }

    /// Whether something at or below `path` did not fit: checks beyond the schema would only repeat it.
    package func hasProblem(below path: PolicyPath) -> Bool {
        let prefix = path.description
        return problems.contains { $0.path == prefix || $0.path.hasPrefix(prefix + ".") || $0.path.hasPrefix(prefix + "[") }
    }

    /// Where the value at `path` was written, or the nearest one around it.
    package func place(of path: PolicyPath) -> SourcePlace {
        var path: PolicyPath? = path
        while let current = path {
            if let place = places[current] { return place }
            path = current.parent
        }
        return SourcePlace(file: "policy", line: 1, column: 1)
    }

    // MARK: - Kinds

    private mutating func text(_ node: PolicyNode, _ format: TextFormat, _ path: PolicyPath) -> JSON? {
        guard let text = node.text else {
            let remedy =
                switch node.value {
                case .integer, .decimal, .boolean: "put it in quotes"
                default: ""
                }
            return refuse(node, path, "must be text (\(format.summary)), not \(node.kind)", remedy)
        }
        do throws(PolicyValueError) {
            return .string(try format.canonical(text))
        } catch {
            add(error, at: path)
            return nil
        }
    }

    private mutating func quantity(_ node: PolicyNode, _ kind: SchemaKind, _ path: PolicyPath) -> JSON? {
        switch (kind, node.value) {
        case (.bytes(let range), .integer(let number)): return bytes(number, range, "", node, path)
        case (.bytes(let range), .text(let text)):
            guard let number = Quantity.bytes(text) else { break }
            return bytes(number, range, "", node, path)
        case (.rate(let range), .integer(let number)): return bytes(number, range, "/s", node, path)
        case (.rate(let range), .text(let text)):
            guard text.hasSuffix("/s"), let number = Quantity.bytes(String(text.dropLast(2))) else { break }
            return bytes(number, range, "/s", node, path)
        case (.duration(let range), .text(let text)):
            guard let number = Quantity.milliseconds(text) else { break }
            return within(
                range, number, node, path, Quantity.text(milliseconds: range.lowerBound), Quantity.text(milliseconds: range.upperBound)
            ).map { .string("\($0)ms") }
        case (.percent(let range), .text(let text)):
            guard let number = Quantity.percent(text) else { break }
            return within(range, number, node, path, "\(range.lowerBound)%", "\(range.upperBound)%").map { .string("\($0)%") }
        default: break
        }
        return refuse(node, path, "must be \(kind.summary)", "write such as \(kind.example)")
    }

    private mutating func bytes(_ number: Int, _ range: ClosedRange<Int>, _ suffix: String, _ node: PolicyNode, _ path: PolicyPath) -> JSON? {
        within(
            range, number, node, path, Quantity.text(bytes: range.lowerBound) + suffix,
            range.upperBound == .max ? "" : Quantity.text(bytes: range.upperBound) + suffix
        ).map { JSON($0) }
    }

    private mutating func within(
        _ range: ClosedRange<Int>, _ number: Int, _ node: PolicyNode, _ path: PolicyPath, _ least: String, _ most: String
    ) -> Int? {
        guard !range.contains(number) else { return number }
        _ = refuse(node, path, range.upperBound == .max ? "must be at least \(least)" : "must be from \(least) to \(most)")
        return nil
    }

    private mutating func choice(_ node: PolicyNode, _ names: [String], _ path: PolicyPath) -> JSON? {
        guard let text = node.text, names.contains(text) else {
            let near = node.text.map { EditDistance.suggestion(for: $0, among: names) } ?? ""
            return refuse(node, path, "must be one of \(names.joined(separator: ", "))", near)
        }
        return .string(text)
    }

    private mutating func list(_ elements: [PolicyNode], _ kind: SchemaKind, _ most: Int, _ node: PolicyNode, _ path: PolicyPath) -> JSON? {
        guard elements.count <= most else {
            add(PolicyProblem(at: node.place, path: path.description, rule: "has \(elements.count) entries, and \(most) is the limit"))
            return nil
        }
        var output: [JSON] = []
        for (index, element) in elements.enumerated() {
            let problemsBefore = problems.count
            let value = read(element, as: kind, at: path.index(index)) ?? .null
            let isSound = problems.count == problemsBefore && !value.isNull
            if isSound, output.contains(value) { _ = refuse(element, path.index(index), "stands in the list twice", "leave one out") }
            output.append(isSound ? value : .null)
        }
        return .array(output)
    }

    private mutating func map(_ node: PolicyNode, _ key: TextFormat, _ kind: SchemaKind, _ most: Int, _ path: PolicyPath) -> JSON? {
        guard let members = node.members else { return refuse(node, path, "must be a mapping, not \(node.kind)") }
        guard members.count <= most else {
            add(PolicyProblem(at: node.place, path: path.description, rule: "has \(members.count) entries, and \(most) is the limit"))
            return nil
        }
        var object = JSONObject()
        for member in members {
            do throws(PolicyValueError) {
                let name = try key.canonical(member.key)
                object[name] = read(member.value, as: kind, at: path.key(name))
            } catch {
                add(
                    PolicyProblem(
                        at: member.keyPlace, path: path.key(member.key).description, value: error.value, rule: error.rule, remedy: error.remedy))
            }
        }
        return .object(object)
    }

    private mutating func object(_ node: PolicyNode, _ fields: [SchemaField], _ path: PolicyPath) -> JSON? {
        guard let members = node.members else { return refuse(node, path, "must be a mapping, not \(node.kind)") }
        var object = JSONObject()
        for member in members where problems.count < Self.maximumProblems {
            guard let field = fields.first(where: { $0.name == member.key }) else {
                let whole = path.key(member.key).description
                if let refused = RefusedKey.find(member.key, below: path) {
                    add(PolicyProblem(at: member.keyPlace, path: whole, rule: refused.rule, remedy: refused.remedy))
                    continue
                }
                let names = fields.map(\.name)
                let near = EditDistance.suggestion(for: member.key, among: names)
                add(
                    PolicyProblem(
                        at: member.keyPlace, path: whole, rule: "is no known key",
                        remedy: near.isEmpty ? "known here are \(names.joined(separator: ", "))" : near))
                continue
            }
            object[field.name] = read(member.value, as: field.kind, at: path.key(field.name))
        }
        for field in fields where field.isRequired && node[field.name] == nil {
            add(
                PolicyProblem(
                    at: node.place, path: path.key(field.name).description, rule: "must be given", remedy: "add \(field.name): \(field.kind.example)")
            )
        }
        return .object(object)
    }

    private mutating func refuse(_ node: PolicyNode, _ path: PolicyPath, _ rule: String, _ remedy: String = "") -> JSON? {
        let value: String? =
            switch node.value {
            case .text(let text): text
            case .integer, .decimal, .boolean: node.json.text
            case .null, .list, .map: nil
            }
        add(PolicyProblem(at: node.place, path: path.description, value: value, rule: rule, remedy: remedy))
        return nil
    }
}
