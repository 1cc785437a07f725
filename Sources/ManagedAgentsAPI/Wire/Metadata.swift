import PosternJSON

/// `metadata`: 16 pairs, keys of at most 64 and values of at most 512 code points.
package enum Metadata {
    /// For a create request: key → string.
    package static func create(_ object: WireObject, _ key: String = "metadata") throws(APIError) -> JSONObject {
        guard let metadata = object.value(key) else { return [:] }
        let members = try members(metadata, object, key)
        for (name, value) in members { try check(name, value, object.path.key(key), allowsNull: false) }
        try checkCount(members.count, object.path.key(key))
        return members
    }

    /// For an update: key → string to set, or null to delete. Nil when there is nothing to change.
    package static func patch(_ object: WireObject, _ key: String = "metadata") throws(APIError) -> JSONObject? {
        guard let metadata = object.value(key) else { return nil }
        let members = try members(metadata, object, key)
        for (name, value) in members { try check(name, value, object.path.key(key), allowsNull: true) }
        return members
    }

    /// Applies a patch.
    /// - Parameter emptyDeletes: Whether `""` deletes too, as it does for environments.
    package static func merged(_ stored: JSONObject, _ patch: JSONObject, emptyDeletes: Bool = false) throws(APIError) -> JSONObject {
        var merged = stored
        for (key, value) in patch {
            // Not one expression with `?:`, whose `nil` would be a JSON null.
            if value.isNull || (emptyDeletes && value == "") { merged[key] = JSON?.none } else { merged[key] = value }
        }
        try checkCount(merged.count, WirePath("metadata"))
        return merged
    }

    private static func members(_ metadata: JSON, _ object: WireObject, _ key: String) throws(APIError) -> JSONObject {
        guard let members = metadata.object else { throw object.mistyped(key, "object") }
        return members
    }

    private static func checkCount(_ count: Int, _ path: WirePath) throws(APIError) {
        guard count <= Limits.metadataPairs else { throw .invalid("\(path.dotted): must contain at most \(Limits.metadataPairs) pairs") }
    }

    private static func check(_ name: String, _ value: JSON, _ path: WirePath, allowsNull: Bool) throws(APIError) {
        guard !name.isEmpty else { throw .invalid("\(path.dotted): keys must not be empty") }
        guard name.unicodeScalars.count <= Limits.metadataKey else {
            throw .invalid("\(path.dotted): maximum key length is \(Limits.metadataKey)")
        }
        if value.isNull, allowsNull { return }
        guard let text = value.string else {
            throw .invalid("Failed to parse request: \(path.key(name).bracketed): expected string, got \(value.kind)")
        }
        try Limits.check(text, at: path.key(name), maximum: Limits.metadataValue)
    }
}
