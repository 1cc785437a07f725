import PosternJSON

/// Reads one object of a request for the routes that decode strictly (agents, sessions, events): an unknown key is refused, null counts as absent
/// unless the caller asks, and the words of the refusals are the reference's where they are known.
package struct WireObject: Sendable {
    package let members: JSONObject
    package let path: WirePath

    /// - Parameters:
    ///   - keys: Every key that may occur.
    ///   - namesPath: Whether the refusal of an unknown key says where it stands.
    package init(_ json: JSON, at path: WirePath, allowing keys: Set<String>, namesPath: Bool = false) throws(APIError) {
        guard let object = json.object else {
            let place = path.bracketed.isEmpty ? "Failed to parse request body" : "Failed to parse request: \(path.bracketed)"
            throw .invalid("\(place): expected object, got \(json.kind)")
        }
        // Of several unknown keys the least in byte order is named.
        if let unknown = object.keys.filter({ !keys.contains($0) }).min(by: { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }) {
            let place = namesPath ? "Failed to parse request: \(path.bracketed)" : "Failed to parse request body"
            throw .invalid("\(place): unknown field \"\(unknown)\"")
        }
        members = object
        self.path = path
    }

    /// The member, unless it is absent or null.
    package func value(_ key: String) -> JSON? {
        guard let value = members[key], !value.isNull else { return nil }
        return value
    }

    /// Whether the key is there, with null or a value.
    package func contains(_ key: String) -> Bool { members.contains(key) }

    package func required(_ key: String) throws(APIError) -> JSON {
        guard let value = value(key) else { throw .invalid("\(path.key(key).dotted): value is required") }
        return value
    }

    /// - Parameter maximum: In Unicode code points.
    package func string(_ key: String, maximum: Int = .max) throws(APIError) -> String? {
        guard let value = value(key) else { return nil }
        guard let string = value.string else { throw mistyped(key, "string") }
        try Limits.check(string, at: path.key(key), maximum: maximum)
        return string
    }

    /// A string that is there and not empty.
    package func requiredString(_ key: String, maximum: Int = .max) throws(APIError) -> String {
        guard let string = try string(key, maximum: maximum), !string.isEmpty else { throw .invalid("\(path.key(key).dotted): value is required") }
        return string
    }

    package func bool(_ key: String) throws(APIError) -> Bool? {
        guard let value = value(key) else { return nil }
        guard let bool = value.bool else { throw mistyped(key, "boolean") }
        return bool
    }

    package func int(_ key: String) throws(APIError) -> Int? {
        guard let value = value(key) else { return nil }
        guard let int = value.int else { throw mistyped(key, "integer") }
        return int
    }

    package func array(_ key: String, maximum: Int = .max) throws(APIError) -> [JSON]? {
        guard let value = value(key) else { return nil }
        guard let array = value.array else { throw mistyped(key, "array") }
        guard array.count <= maximum else { throw .invalid("\(path.key(key).dotted): must contain at most \(maximum) items") }
        return array
    }

    package func choice(_ key: String, _ choices: [String], listsChoices: Bool = true) throws(APIError) -> String? {
        guard let string = try string(key) else { return nil }
        guard choices.contains(string) else { throw Self.notAChoice(string, at: path.key(key), listsChoices ? choices : []) }
        return string
    }

    package func mistyped(_ key: String, _ expected: String) -> APIError {
        .invalid("Failed to parse request: \(path.key(key).bracketed): expected \(expected), got \(members[key]?.kind ?? "nothing")")
    }

    package static func notAChoice(_ value: String, at path: WirePath, _ choices: [String] = []) -> APIError {
        let remedy = choices.isEmpty ? "" : "; must be one of \(choices.map { "\"\($0)\"" }.joined(separator: ", "))"
        return .invalid("Failed to parse request: \(path.bracketed): \"\(value)\" is not a valid value\(remedy)")
    }

    /// Reads the `type` of a union member before its keys are known.
    package static func type(of json: JSON, at path: WirePath) throws(APIError) -> String {
        guard let object = json.object else {
            throw .invalid("Failed to parse request: \(path.bracketed): expected object, got \(json.kind)")
        }
        guard let type = object["type"], !type.isNull else { throw .invalid("\(path.key("type").dotted): value is required") }
        guard let text = type.string else {
            throw .invalid("Failed to parse request: \(path.key("type").bracketed): expected string, got \(type.kind)")
        }
        return text
    }
}

/// Bounds that several resources share (contract section 12).
package enum Limits {
    package static let metadataPairs = 16
    package static let metadataKey = 64
    package static let metadataValue = 512

    static func check(_ string: String, at path: WirePath, maximum: Int) throws(APIError) {
        // Bytes bound the count from above, so that short texts are not counted.
        guard string.utf8.count > maximum, string.unicodeScalars.count > maximum else { return }
        throw .invalid("\(path.dotted): maximum string length is \(maximum)")
    }

    package static func notBuilt(_ what: String) -> APIError { .invalid("\(what) is not built yet in this version of Postern.") }
}
