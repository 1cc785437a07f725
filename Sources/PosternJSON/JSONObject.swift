/// The members of a JSON object in their order. Look-up is linear: API objects have a dozen keys, where a scan beats a hash.
package struct JSONObject: Sendable {
    package private(set) var keys: [String]
    package private(set) var values: [JSON]

    package init() {
        keys = []
        values = []
    }

    /// A later pair with the same key replaces the value of the earlier one.
    package init(_ pairs: some Sequence<(String, JSON)>) {
        self.init()
        for (key, value) in pairs { self[key] = value }
    }

    /// For who knows that no key repeats: the parser, and whoever has another object's keys.
    package init(uniqueKeys keys: [String], values: [JSON]) {
        self.keys = keys
        self.values = values
    }

    package var count: Int { keys.count }
    package var isEmpty: Bool { keys.isEmpty }

    /// Setting `nil` removes the key; setting `.null` stores a null.
    package subscript(key: String) -> JSON? {
        get {
            guard let index = keys.firstIndex(of: key) else { return nil }
            return values[index]
        }
        set {
            switch (keys.firstIndex(of: key), newValue) {
            case (let index?, let value?): values[index] = value
            case (let index?, nil):
                keys.remove(at: index)
                values.remove(at: index)
            case (nil, let value?):
                keys.append(key)
                values.append(value)
            case (nil, nil): break
            }
        }
    }

    /// Applies a merge patch of one level (RFC 7396): null deletes the key, anything else sets it.
    package mutating func merge(patch: JSONObject) {
        for (key, value) in patch { self[key] = value.isNull ? Optional<JSON>.none : value }
    }

    package func contains(_ key: String) -> Bool { keys.contains(key) }
}

extension JSONObject: Sequence {
    package func makeIterator() -> some IteratorProtocol<(key: String, value: JSON)> {
        var index = 0
        return AnyIterator {
            guard index < keys.count else { return nil }
            defer { index += 1 }
            return (keys[index], values[index])
        }
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, JSON)...) { self.init(elements) }
}

/// Two objects are equal when they hold the same members, whatever their order (RFC 8259, section 4).
extension JSONObject: Hashable {
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && zip(left.keys, left.values).allSatisfy { right[$0] == $1 }
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(Set(keys))
    }
}
