import PosternPolicy

/// Reads mappings of a document strictly and gathers every problem with its place.
struct DocumentReader {
    private(set) var problems: [PolicyProblem] = []

    /// Problems of one document; nobody reads more.
    private static let maximumProblems = 100

    mutating func add(_ place: SourcePlace, _ path: PolicyPath, value: String? = nil, _ rule: String, _ remedy: String = "") {
        guard problems.count < Self.maximumProblems else { return }
        problems.append(PolicyProblem(at: place, path: path.description, value: value, rule: rule, remedy: remedy))
    }

    mutating func add(_ problem: PolicyProblem) {
        guard problems.count < Self.maximumProblems else { return }
        problems.append(problem)
    }

    mutating func add(_ node: PolicyNode, _ path: PolicyPath, _ error: PolicyValueError) {
        add(node.place, path, value: error.value, error.rule, error.remedy)
    }

    /// The members of a mapping; empty where it is none. Keys besides `known` are problems.
    mutating func map(_ node: PolicyNode, _ path: PolicyPath, known: [String]) -> Mapping {
        guard let members = node.members else {
            add(node.place, path, "must be a mapping, not \(node.kind)")
            return Mapping(node: node, path: path, isMap: false)
        }
        for member in members where !known.contains(member.key) {
            let near = EditDistance.suggestion(for: member.key, among: known)
            add(member.keyPlace, path.key(member.key), "is no known key here", near.isEmpty ? "known are \(known.joined(separator: ", "))" : near)
        }
        return Mapping(node: node, path: path, isMap: true)
    }

    struct Mapping {
        let node: PolicyNode
        let path: PolicyPath
        let isMap: Bool

        /// The member; `nil` when it is absent or empty.
        subscript(key: String) -> PolicyNode? { node[key].flatMap { $0.value == .null ? nil : $0 } }
    }

    mutating func text(_ map: Mapping, _ key: String) -> String? {
        guard let node = map[key] else { return nil }
        guard let text = node.text, !text.isEmpty else {
            add(node.place, map.path.key(key), "must be text, not \(node.kind)")
            return nil
        }
        return text
    }

    /// The text; a problem, and an empty text, where it is missing.
    mutating func required(_ map: Mapping, _ key: String, _ remedy: String) -> String {
        if let text = text(map, key) { return text }
        if map.isMap, map[key] == nil { add(map.node.place, map.path.key(key), "is missing", remedy) }
        return ""
    }

    mutating func required(_ map: Mapping, map key: String, known: [String], _ remedy: String) -> Mapping {
        if let node = map[key] { return self.map(node, map.path.key(key), known: known) }
        if map.isMap { add(map.node.place, map.path.key(key), "is missing", remedy) }
        return Mapping(node: PolicyNode(.map([]), at: map.node.place), path: map.path.key(key), isMap: false)
    }

    mutating func flag(_ map: Mapping, _ key: String) -> Bool? {
        guard let node = map[key] else { return nil }
        guard case .boolean(let flag) = node.value else {
            add(node.place, map.path.key(key), "must be true or false, not \(node.kind)")
            return nil
        }
        return flag
    }

    mutating func number(_ map: Mapping, _ key: String, in bounds: ClosedRange<Int>) -> Int? {
        guard let node = map[key] else { return nil }
        guard case .integer(let number) = node.value, bounds.contains(number) else {
            add(node.place, map.path.key(key), "must be a whole number from \(bounds.lowerBound) to \(bounds.upperBound)")
            return nil
        }
        return number
    }

    /// One of the words of `type`.
    mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(_ map: Mapping, _ key: String, _ type: Choice.Type) -> Choice? {
        guard let text = text(map, key), let node = map[key] else { return nil }
        if let choice = Choice(rawValue: text) { return choice }
        let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        add(node.place, map.path.key(key), value: text, "must be one of \(names)")
        return nil
    }

    /// Each element of a list of texts through `read`, which says what is wrong with one.
    mutating func list<Element>(_ map: Mapping, _ key: String, _ read: (String) throws(PolicyValueError) -> Element) -> [Element]? {
        guard let node = map[key] else { return nil }
        guard let elements = node.elements else {
            add(node.place, map.path.key(key), "must be a list, not \(node.kind)")
            return nil
        }
        var output: [Element] = []
        for (index, element) in elements.enumerated() {
            let path = map.path.key(key).index(index)
            guard let text = element.text else {
                add(element.place, path, "must be text, not \(element.kind)")
                continue
            }
            do throws(PolicyValueError) {
                output.append(try read(text))
            } catch {
                add(element, path, error)
            }
        }
        return output
    }
}
