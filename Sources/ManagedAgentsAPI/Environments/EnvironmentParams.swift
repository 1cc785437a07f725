import PosternJSON

/// Bodies of the environment routes (contract section 2.2), with the second validator family's words.
package struct EnvironmentParams: Sendable, Equatable {
    package var name: String?
    /// The inner nil is a null.
    package var description: String??
    /// Key → string, or null to delete.
    package var metadata: JSONObject?
    /// Set when the request asked for `config.type`.
    package var configType: String?

    private static let keys: Set<String> = ["name", "config", "description", "metadata", "scope"]

    /// `POST /v1/environments`.
    package static func create(_ body: JSON) throws(APIError) -> EnvironmentParams {
        let object = try PlainObject(body, allowing: keys)
        guard object.members.contains("name") else { throw .invalid("name: Field required") }
        var params = try EnvironmentParams(object)
        guard params.name != nil else { throw .invalid("name: Input should be a valid string") }
        if params.configType == "cloud" {
            throw .invalid(
                "config: Postern serves only self_hosted environments: tools run on your own workers, and it has no cloud of its own. "
                    + "Send {\"type\":\"self_hosted\"} or leave config out.")
        }
        if let metadata = params.metadata {
            for (key, value) in metadata where value.isNull { throw .invalid("metadata.\(key): Input should be a valid string") }
            params.metadata = try Metadata.merged([:], metadata)
        }
        return params
    }

    /// `POST /v1/environments/{id}`.
    package static func update(_ body: JSON) throws(APIError) -> EnvironmentParams {
        try EnvironmentParams(try PlainObject(body, allowing: keys))
    }

    private init(_ object: PlainObject) throws(APIError) {
        if let text = try object.string("name") {
            guard !text.isEmpty else { throw .invalid("name: String should have at least 1 character") }
            guard text.unicodeScalars.count <= 256 else { throw .invalid("name: String should have at most 256 characters") }
            name = text
        }
        if object.members.contains("description") {
            let text = try object.string("description")
            if let text, text.unicodeScalars.count > 2048 { throw .invalid("description: String should have at most 2048 characters") }
            description = .some(text)
        }
        metadata = try object.metadata("metadata")
        if let scope = try object.string("scope"), scope != "organization" {
            throw .invalid(scope == "account" ? "scope: only 'organization' is supported" : "scope: Input should be 'organization' or 'account'")
        }
        guard let config = object.members["config"], !config.isNull else { return }
        guard let members = config.object else { throw .invalid("config: Input should be a valid dictionary or object to extract fields from") }
        guard let type = members["type"]?.string else { throw .invalid("config: Unable to extract tag using discriminator 'type'") }
        switch type {
        case "self_hosted":
            if let extra = members.keys.first(where: { $0 != "type" }) {
                throw .invalid("config.self_hosted.\(extra): Extra inputs are not permitted")
            }
        case "cloud": break
        default:
            throw .invalid("config: Input tag '\(type)' found using 'type' does not match any of the expected tags: 'cloud', 'self_hosted'")
        }
        configType = type
    }
}

/// Reads an object for the routes whose refusals read `key: Field required` and `key: Extra inputs are not permitted`.
package struct PlainObject: Sendable {
    package let members: JSONObject

    package init(_ body: JSON, allowing keys: Set<String>) throws(APIError) {
        guard let object = body.object else { throw .invalid("Input should be a valid dictionary or object to extract fields from") }
        if let extra = object.keys.first(where: { !keys.contains($0) }) { throw .invalid("\(extra): Extra inputs are not permitted") }
        members = object
    }

    /// Nil for absent and for null.
    package func string(_ key: String) throws(APIError) -> String? {
        guard let value = members[key], !value.isNull else { return nil }
        guard let string = value.string else { throw .invalid("\(key): Input should be a valid string") }
        return string
    }

    package func bool(_ key: String) throws(APIError) -> Bool? {
        guard let value = members[key], !value.isNull else { return nil }
        guard let bool = value.bool else { throw .invalid("\(key): Input should be a valid boolean") }
        return bool
    }

    /// A patch of metadata: key → string or null. Nil for absent and for null.
    package func metadata(_ key: String) throws(APIError) -> JSONObject? {
        guard let value = members[key], !value.isNull else { return nil }
        guard let object = value.object else { throw .invalid("\(key): Input should be a valid dictionary", details: Self.metadataDetails) }
        for (name, value) in object {
            guard !name.isEmpty, name.unicodeScalars.count <= Limits.metadataKey else {
                throw .invalid("\(key): keys must have 1 to \(Limits.metadataKey) characters", details: Self.metadataDetails)
            }
            if value.isNull { continue }
            guard let text = value.string else { throw .invalid("\(key).\(name): Input should be a valid string", details: Self.metadataDetails) }
            guard text.unicodeScalars.count <= Limits.metadataValue else {
                throw .invalid("\(key).\(name): String should have at most \(Limits.metadataValue) characters", details: Self.metadataDetails)
            }
        }
        return object
    }

    private static let metadataDetails: JSONObject = ["error_code": "invalid_metadata"]
}
