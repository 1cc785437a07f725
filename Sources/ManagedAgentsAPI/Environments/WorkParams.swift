import PosternJSON

/// Bodies and queries of the work queue (contract section 5.2).
package enum WorkParams {
    /// `block_ms` 1–999 and `reclaim_older_than_ms` ≥ 1, both in milliseconds.
    package struct Poll: Sendable, Equatable {
        package var blockMilliseconds: Int?
        package var reclaimMilliseconds: Int

        package init(_ query: Query) throws(APIError) {
            blockMilliseconds = try query.plainInt("block_ms", 1...999)
            reclaimMilliseconds = try query.plainInt("reclaim_older_than_ms", 1...86_400_000) ?? 5000
        }
    }

    /// The longest lease that a holder may ask for, in seconds.
    package static let leaseSeconds = 1...3600

    /// `POST …/stop`: `force`. An empty body means false.
    package static func force(_ body: JSON?) throws(APIError) -> Bool {
        guard let body else { return false }
        return try PlainObject(body, allowing: ["force"]).bool("force") ?? false
    }

    /// `POST …/work/{id}`: key → string or null.
    package static func metadata(_ body: JSON?) throws(APIError) -> JSONObject {
        let object = try PlainObject(body ?? [:], allowing: ["metadata"])
        guard object.members.contains("metadata") else { throw .invalid("metadata: Field required") }
        guard let metadata = try object.metadata("metadata") else { throw .invalid("metadata: Input should be a valid dictionary") }
        return metadata
    }
}
