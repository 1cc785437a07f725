import PosternJSON
import Yams

/// Reads the text of a policy document.
///
/// YAML is read with the scalar rules of YAML 1.2: only `true` and `false` are booleans (`no` is a text), only decimal digits are a
/// number. Anchors, aliases and tags are refused, and size and depth are bounded, so that no text costs more than it is long.
package enum PolicyText {
    /// Bytes of one document.
    package static let maximumBytes = 256 << 10
    /// Bytes of a text of `Format.json`.
    package static let maximumJSONBytes = 16 << 10
    /// Lists and mappings inside one another.
    package static let maximumDepth = 16

    package enum Format: Sendable {
        /// YAML; JSON is read as well, since it is YAML.
        case yaml
        /// JSON and nothing else: for texts from people who may not change the policy.
        case json
    }

    /// The document in `text`; an empty one is an empty mapping.
    /// - Parameter file: its name, for places.
    package static func read(_ text: String, file: String, format: Format = .yaml) throws(PolicyProblems) -> PolicyNode {
        let start = SourcePlace(file: file, line: 1, column: 1)
        let limit = format == .json ? maximumJSONBytes : maximumBytes
        guard text.utf8.count <= limit else { throw problem(start, "the document has \(text.utf8.count) bytes, and \(limit) is the limit") }
        if format == .json {
            do throws(JSONParseError) {
                _ = try JSON(parsing: text, options: .init(maximumDepth: maximumDepth, rejectsLoneSurrogates: true))
            } catch {
                throw problem(place(ofByte: error.offset, in: text, file), "is no JSON: \(error.reason)")
            }
        } else if let anchor = firstAnchor(in: text) {
            throw problem(
                place(ofByte: anchor, in: text, file), "anchors and aliases are refused",
                "repeat the value; in a quoted text write \"\\u0026\" instead of &")
        }
        do {
            guard let root = try Yams.compose(yaml: text, .basic, .default, .utf8) else { return PolicyNode(.map([]), at: start) }
            let node = try node(root, file, 0)
            if format == .yaml, node.value == .null { return PolicyNode(.map([]), at: node.place) }
            return node
        } catch let error as PolicyProblems {
            throw error
        } catch let error as YamlError {
            throw PolicyProblems([problem(for: error, file)])
        } catch {
            throw problem(start, "is no YAML: \(error)")
        }
    }

    private static func node(_ node: Node, _ file: String, _ depth: Int) throws(PolicyProblems) -> PolicyNode {
        let place = SourcePlace(file: file, line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
        if depth == maximumDepth, node.scalar == nil { throw problem(place, "lists and mappings are nested deeper than \(maximumDepth)") }
        switch node {
        case .scalar(let scalar):
            let tag = "\(node.tag)"
            guard tag == Tag.Name.str.rawValue else {
                throw problem(place, "the tag \(tag) is refused", "put a text that begins with ! in quotes")
            }
            return PolicyNode(scalar.style == .plain ? YAMLScalar.value(of: scalar.string) : .text(scalar.string), at: place)
        case .sequence(let sequence):
            var elements: [PolicyNode] = []
            for element in sequence { elements.append(try Self.node(element, file, depth + 1)) }
            return PolicyNode(.list(elements), at: place)
        case .mapping(let mapping):
            var members: [PolicyNode.Member] = []
            for (key, value) in mapping {
                let keyPlace = SourcePlace(file: file, line: key.mark?.line ?? place.line, column: key.mark?.column ?? place.column)
                guard case .scalar(let name) = key else { throw problem(keyPlace, "a key must be text") }
                members.append(.init(key: name.string, keyPlace: keyPlace, value: try Self.node(value, file, depth + 1)))
            }
            return PolicyNode(.map(members), at: place)
        case .alias: throw problem(place, "aliases are refused", "repeat the value")
        }
    }

    /// The offset of the first `&name` that YAML could read as an anchor, whatever stands around it: a text that merely looks like one is
    /// refused too, for a scanner that skips quotes and comments can be led astray.
    private static func firstAnchor(in text: String) -> Int? {
        var previous = UInt8(ascii: "\n")
        var mark: Int?
        for (offset, byte) in text.utf8.enumerated() {
            if let mark, isNameByte(byte) { return mark }
            let opens = byte == UInt8(ascii: "&") && " \t\r\n[{,:?-&!".utf8.contains(previous)
            mark = opens ? offset : nil
            previous = byte
        }
        return nil
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func place(ofByte offset: Int, in text: String, _ file: String) -> SourcePlace {
        var line = 1
        var column = 1
        for byte in text.utf8.prefix(offset) {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        return SourcePlace(file: file, line: line, column: column)
    }

    private static func problem(for error: YamlError, _ file: String) -> PolicyProblem {
        func at(_ mark: Mark?, _ text: String, _ remedy: String = "") -> PolicyProblem {
            PolicyProblem(at: SourcePlace(file: file, line: mark?.line ?? 1, column: mark?.column ?? 1), path: "", rule: text, remedy: remedy)
        }
        switch error {
        case .scanner(_, let problem, let mark, _):
            let remedy =
                problem.contains("alphabetic or numeric character")
                ? "put a text that begins with * in quotes"
                : problem.contains("expected whitespace or line break") ? "put a text that begins with ! in quotes" : ""
            return at(mark, "is no YAML: \(problem)", remedy)
        case .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            let alias = problem == "found undefined alias"
            return at(mark, "is no YAML: \(problem)", alias ? "put a text that begins with * in quotes" : "")
        case .reader(let problem, _, _, _): return at(nil, "is no YAML: \(problem)")
        case .duplicatedKeysInMapping(let keys, let context):
            return at(context.mark, "the key \"\(keys.first ?? "")\" is written twice in one mapping", "keep one")
        default: return at(nil, "is no YAML")
        }
    }

    private static func problem(_ place: SourcePlace, _ rule: String, _ remedy: String = "") -> PolicyProblems {
        PolicyProblems([PolicyProblem(at: place, path: "", rule: rule, remedy: remedy)])
    }
}
