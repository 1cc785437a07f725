import PosternPolicy
import Yams

/// The settings of one YAML (or JSON, which is YAML) file: flattened to dotted names, each with the place it came from.
package struct ConfigurationFile: Sendable, Equatable {
    package struct Value: Sendable, Equatable {
        package var text: String
        /// `file:line:column`, from 1.
        package var place: String
    }

    package private(set) var values: [String: Value] = [:]

    /// Reads `text`; every unknown key, wrong type and bad value is reported, not only the first.
    /// - Parameter name: of the file, for messages.
    package init(_ text: String, name: String, section: ConfigurationKey.Section) throws(ConfigurationError) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw ConfigurationError("\(name): \(error)")
        } catch {
            throw ConfigurationError("\(name): \(error)")
        }
        guard let root, root.null == nil else { return }
        var reader = Reader(name: name, keys: ConfigurationKey.all.filter { $0.section == section })
        reader.read(root, prefix: "")
        guard reader.problems.isEmpty else { throw ConfigurationError(reader.problems) }
        values = reader.values
    }

    private struct Reader {
        let name: String
        let keys: [ConfigurationKey]
        var values: [String: Value] = [:]
        var problems: [String] = []

        func place(_ node: Node) -> String { node.mark.map { "\(name):\($0.line):\($0.column)" } ?? name }

        mutating func read(_ node: Node, prefix: String) {
            guard let mapping = node.mapping else {
                problems.append("\(place(node)): \(prefix.isEmpty ? "the file" : "\"\(prefix)\"") must be a mapping of names to values")
                return
            }
            for (keyNode, value) in mapping {
                guard let part = keyNode.string else {
                    problems.append("\(place(keyNode)): a name must be text")
                    continue
                }
                let path = prefix.isEmpty ? part : "\(prefix).\(part)"
                if let key = keys.first(where: { $0.name == path }) {
                    read(value, for: key)
                } else if keys.contains(where: { $0.name.hasPrefix("\(path).") }) {
                    read(value, prefix: path)
                } else {
                    problems.append("\(place(keyNode)): unknown key \"\(path)\"\(suggestion(for: path))")
                }
            }
        }

        private mutating func read(_ node: Node, for key: ConfigurationKey) {
            if key.isSecret {
                let fileKey = "\(key.name)_file"
                let remedy = keys.contains { $0.name == fileKey } ? "set \(key.variable), or name a file with \(fileKey)" : "set \(key.variable)"
                problems.append("\(place(node)): \"\(key.name)\" is a secret and does not belong into this file: \(remedy)")
                return
            }
            guard let scalar = node.scalar, node.null == nil else {
                problems.append("\(place(node)): \"\(key.name)\" must be a single value, not \(node.kind)")
                return
            }
            if let problem = typeProblem(node, scalar, key) ?? key.kind.problem(with: scalar.string) {
                problems.append("\(place(node)): \"\(key.name)\" \(problem)")
                return
            }
            values[key.name] = Value(text: scalar.string, place: place(node))
        }

        /// YAML types plain scalars: `no` and `8400` are no texts there, though their spelling would pass for one.
        private func typeProblem(_ node: Node, _ scalar: Node.Scalar, _ key: ConfigurationKey) -> String? {
            let isQuoted = scalar.style == .singleQuoted || scalar.style == .doubleQuoted
            return switch key.kind {
            case .integer where isQuoted: "must be a number without quotes"
            case .boolean where isQuoted: "must be true or false without quotes"
            case .text, .path, .url, .choice:
                !isQuoted && (node.bool != nil || node.int != nil || node.float != nil) ? "must be text; put it in quotes" : nil
            default: nil
            }
        }

        private func suggestion(for path: String) -> String {
            let near = keys.map(\.name).map { ($0, EditDistance.between($0, path)) }.min { $0.1 < $1.1 }
            guard let near, near.1 <= 3 else { return "" }
            return "; did you mean \"\(near.0)\"?"
        }
    }
}

extension Node {
    fileprivate var kind: String {
        switch self {
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .scalar: "nothing"
        case .alias: "an alias"
        }
    }
}
