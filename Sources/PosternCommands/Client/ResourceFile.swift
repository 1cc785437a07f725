import PosternJSON
import Yams

/// A request body written as YAML or JSON, from a file or standard input.
enum ResourceFile {
    static func body(from path: String) throws(CommandError) -> JSONObject {
        try body(parsing: TextFile.read(path), name: path == "-" ? "standard input" : path)
    }

    static func body(parsing text: String, name: String) throws(CommandError) -> JSONObject {
        let node: Node?
        do { node = try Yams.compose(yaml: text) } catch { throw CommandError(.usage, "\(name): \(error)") }
        guard let node, let object = try json(node, name).object else {
            throw CommandError(.usage, "\(name) must hold a mapping of the resource's fields")
        }
        return object
    }

    private static func json(_ node: Node, _ name: String) throws(CommandError) -> JSON {
        switch node {
        case .mapping(let mapping):
            var object = JSONObject()
            for (key, value) in mapping {
                guard let text = key.string else { throw CommandError(.usage, "\(name):\(line(key)): a field's name must be text") }
                object[text] = try json(value, name)
            }
            return .object(object)
        case .sequence(let sequence):
            var elements: [JSON] = []
            for element in sequence { elements.append(try json(element, name)) }
            return .array(elements)
        case .scalar(let scalar): return json(scalar, node)
        case .alias: throw CommandError(.usage, "\(name):\(line(node)): an alias without its anchor")
        }
    }

    private static func json(_ scalar: Node.Scalar, _ node: Node) -> JSON {
        // Only plain scalars have a type of their own; what is quoted or a block is text.
        guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
        if node.null != nil { return .null }
        if let value = node.bool { return .bool(value) }
        if let value = node.int { return JSON(value) }
        if let value = node.float, value.isFinite { return .double(value) }
        return .string(scalar.string)
    }

    private static func line(_ node: Node) -> String { node.mark.map { "\($0.line):\($0.column)" } ?? "?" }
}
