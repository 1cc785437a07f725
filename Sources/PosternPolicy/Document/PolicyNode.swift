import PosternJSON

/// A value of a YAML or JSON document that knows where it was written.
package struct PolicyNode: Sendable, Hashable {
    package indirect enum Value: Sendable, Hashable {
        case null
        case boolean(Bool)
        case integer(Int)
        case decimal(Double)
        /// A quoted text, or a plain one that is none of the above.
        case text(String)
        case list([PolicyNode])
        case map([Member])
    }

    package struct Member: Sendable, Hashable {
        package var key: String
        package var keyPlace: SourcePlace
        package var value: PolicyNode
    }

    package var value: Value
    package var place: SourcePlace

    package init(_ value: Value, at place: SourcePlace) {
        self.value = value
        self.place = place
    }

    package var members: [Member]? {
        guard case .map(let members) = value else { return nil }
        return members
    }

    package var elements: [PolicyNode]? {
        guard case .list(let elements) = value else { return nil }
        return elements
    }

    package var text: String? {
        guard case .text(let text) = value else { return nil }
        return text
    }

    /// The member of a map; `nil` when this is none or has no such key.
    package subscript(key: String) -> PolicyNode? { members?.first { $0.key == key }?.value }

    /// For messages.
    package var kind: String {
        switch value {
        case .null: "nothing"
        case .boolean: "true or false"
        case .integer, .decimal: "a number"
        case .text: "text"
        case .list: "a list"
        case .map: "a mapping"
        }
    }

    /// The value without its places.
    package var json: JSON {
        switch value {
        case .null: .null
        case .boolean(let flag): .bool(flag)
        case .integer(let number): JSON(number)
        case .decimal(let number): .double(number)
        case .text(let text): .string(text)
        case .list(let elements): .array(elements.map(\.json))
        case .map(let members): .object(JSONObject(members.map { ($0.key, $0.value.json) }))
        }
    }

    /// `json` as a document; each value stands at `place`.
    package init(json: JSON, at place: SourcePlace) {
        let value: Value =
            switch json {
            case .null: .null
            case .bool(let flag): .boolean(flag)
            case .int(let number): .integer(Int(number))
            case .double(let number): .decimal(number)
            case .bigNumber(let text): .text(text)
            case .string(let text): .text(text)
            case .array(let elements): .list(elements.map { PolicyNode(json: $0, at: place) })
            case .object(let object):
                .map(object.map { Member(key: $0.key, keyPlace: place, value: PolicyNode(json: $0.value, at: place)) })
            }
        self.init(value, at: place)
    }
}
