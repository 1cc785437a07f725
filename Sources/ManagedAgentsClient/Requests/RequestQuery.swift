/// A query string's parameters in their order. Values that are `nil` are left out; lists use brackets (contract, section 1.1).
package struct RequestQuery: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    package private(set) var items: [Item] = []

    package struct Item: Sendable, Equatable {
        package var name: String
        package var value: String
    }

    package init() {}

    package init(dictionaryLiteral elements: (String, String?)...) {
        for (name, value) in elements { add(name, value) }
    }

    package mutating func add(_ name: String, _ value: String?) {
        if let value { items.append(Item(name: name, value: value)) }
    }
    package mutating func add(_ name: String, _ value: Int?) { add(name, value.map(String.init)) }
    package mutating func add(_ name: String, _ value: Bool?) { add(name, value.map { $0 ? "true" : "false" }) }

    /// `statuses[]=idle&statuses[]=running`
    package mutating func add(_ name: String, list values: [String]) {
        for value in values { add(name + "[]", value) }
    }

    /// Replaces what was there under that name.
    package mutating func set(_ name: String, _ value: String?) {
        items.removeAll { $0.name == name }
        add(name, value)
    }

    /// Empty, or `?a=b&c%5B%5D=d`.
    package var text: String {
        items.isEmpty ? "" : "?" + items.map { PercentEncoding.encode($0.name) + "=" + PercentEncoding.encode($0.value) }.joined(separator: "&")
    }
}
