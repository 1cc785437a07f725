import PosternJSON
import PosternPolicy

/// What a session has used of its budgets before its present proxy.
package struct BytesUsed: Sendable, Hashable {
    /// Of the present day.
    package var day: Int
    package var session: Int
    package var hosts: [CanonicalHost: Int] = [:]
    /// Of hosts that are not counted one by one, together. With any, every host that is not in `hosts` counts as one of them.
    package var otherHosts = 0

    package init(day: Int = 0, session: Int = 0) {
        self.day = day
        self.session = session
    }

    package var json: JSON {
        [
            "day": JSON(day), "session": JSON(session), "other_hosts": JSON(otherHosts),
            "hosts": .object(JSONObject(hosts.map { ($0.description, JSON($1)) }.sorted { $0.0 < $1.0 })),
        ]
    }

    package init(json: JSON) throws(PolicyValueError) {
        self.init()
        var fields = try FieldReader(json)
        day = try fields.int("day", in: 0...Int.max) ?? 0
        session = try fields.int("session", in: 0...Int.max) ?? 0
        otherHosts = try fields.int("other_hosts", in: 0...Int.max) ?? 0
        for (name, value) in fields.member("hosts")?.object ?? [:] {
            guard let bytes = value.int, bytes >= 0 else {
                throw PolicyValueError(path: ["hosts", name], value: value.text, rule: "must be a number of bytes")
            }
            hosts[try CanonicalHost(name)] = bytes
        }
        try fields.finish()
    }
}
