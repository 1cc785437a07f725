import PosternJSON

/// Reads the members of one JSON object strictly: a wrong kind, a value out of bounds and an unknown key are errors that name their place.
package struct FieldReader {
    private let object: JSONObject
    private var known: [String] = []

    /// Throws where `json` is no object.
    package init(_ json: JSON) throws(PolicyValueError) {
        guard let object = json.object else {
            throw PolicyValueError(value: json.text, rule: "must be an object, not \(json.kind)")
        }
        self.object = object
    }

    /// The member `key`; `nil` when it is absent or null.
    package mutating func member(_ key: String) -> JSON? {
        known.append(key)
        guard let value = object[key], !value.isNull else { return nil }
        return value
    }

    package mutating func string(_ key: String) throws(PolicyValueError) -> String? {
        guard let value = member(key) else { return nil }
        guard let text = value.string else {
            throw PolicyValueError(path: [key], value: value.text, rule: "must be a string, not \(value.kind)")
        }
        return text
    }

    package mutating func required(_ key: String) throws(PolicyValueError) -> String {
        guard let text = try string(key), !text.isEmpty else {
            throw PolicyValueError(path: [key], value: "", rule: "must be given", remedy: "add \"\(key)\"")
        }
        return text
    }

    package mutating func bool(_ key: String) throws(PolicyValueError) -> Bool? {
        guard let value = member(key) else { return nil }
        guard let flag = value.bool else {
            throw PolicyValueError(path: [key], value: value.text, rule: "must be true or false, not \(value.kind)")
        }
        return flag
    }

    package mutating func int(_ key: String, in bounds: ClosedRange<Int>) throws(PolicyValueError) -> Int? {
        guard let value = member(key) else { return nil }
        guard let number = value.int, bounds.contains(number) else {
            throw PolicyValueError(
                path: [key], value: value.text, rule: "must be a whole number from \(bounds.lowerBound) to \(bounds.upperBound)")
        }
        return number
    }

    package mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String, _ type: Choice.Type
    ) throws(PolicyValueError) -> Choice? {
        guard let text = try string(key) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw PolicyValueError(path: [key], value: text, rule: "must be one of \(names)")
        }
        return choice
    }

    /// Each element of the array `key` through `decode`; an absent key is the empty list.
    package mutating func list<Element>(
        _ key: String, _ decode: (JSON) throws(PolicyValueError) -> Element
    ) throws(PolicyValueError) -> [Element] {
        guard let value = member(key) else { return [] }
        guard let elements = value.array else {
            throw PolicyValueError(path: [key], value: value.text, rule: "must be a list, not \(value.kind)")
        }
        var output: [Element] = []
        for (index, element) in elements.enumerated() {
            do throws(PolicyValueError) {
                output.append(try decode(element))
            } catch {
                throw error.below(key, String(index))
            }
        }
        return output
    }

    package mutating func strings(_ key: String) throws(PolicyValueError) -> [String] {
        try list(key) { (json: JSON) throws(PolicyValueError) -> String in try Self.text(json) }
    }

    /// `json` as a string, for elements of a list.
    package static func text(_ json: JSON) throws(PolicyValueError) -> String {
        guard let text = json.string else { throw PolicyValueError(value: json.text, rule: "must be a string, not \(json.kind)") }
        return text
    }

    /// To be called last: throws for a key that nothing has asked for.
    package func finish() throws(PolicyValueError) {
        for key in object.keys where !known.contains(key) {
            throw PolicyValueError(
                path: [key], value: key, rule: "is no known key here", remedy: "known are \(known.sorted().joined(separator: ", "))")
        }
    }
}
