/// The way from the root of a document to one of its values.
package struct PolicyPath: Sendable, Hashable, CustomStringConvertible {
    package enum Element: Sendable, Hashable {
        case key(String)
        case index(Int)
    }

    package var elements: [Element]

    package init(_ elements: [Element] = []) { self.elements = elements }

    /// Keys only, outermost first.
    package init(keys: String...) { elements = keys.map(Element.key) }

    package func key(_ name: String) -> PolicyPath { PolicyPath(elements + [.key(name)]) }
    package func index(_ number: Int) -> PolicyPath { PolicyPath(elements + [.index(number)]) }

    /// The path of a value below this one, as `PolicyValueError` writes it: an all-digits element is an index.
    package func below(_ parts: [String]) -> PolicyPath {
        PolicyPath(elements + parts.map { part in Int(part).map { $0 >= 0 ? .index($0) : .key(part) } ?? .key(part) })
    }

    /// The path of the value around; `nil` at the root.
    package var parent: PolicyPath? { elements.isEmpty ? nil : PolicyPath(elements.dropLast()) }

    /// `network.rules[2].hosts[0]`; empty at the root.
    package var description: String {
        var text = ""
        for element in elements {
            switch element {
            case .key(let name): text += text.isEmpty ? name : ".\(name)"
            case .index(let number): text += "[\(number)]"
            }
        }
        return text
    }
}
