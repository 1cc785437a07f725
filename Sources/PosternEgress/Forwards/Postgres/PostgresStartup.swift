import NIOCore

/// The StartupMessage of protocol 3: who connects to which database, and the session's first settings.
package struct PostgresStartup: Hashable, Sendable {
    static let version3: UInt32 = 3 << 16

    /// Names and values in their order. Every name once.
    package var parameters: [(name: String, value: String)]
    /// Whether the client asked for a later minor version than 3.0, or for options of one.
    package var wantsNewer: Bool
    /// The `_pq_.` options it asked for.
    package var protocolOptions: [String]

    /// Settings that a client may choose at the start. They can be changed by `SET` later, so they grant nothing. What can do more —
    /// `replication`, `options`, `role`, `session_authorization` — and everything unknown is dropped.
    package static let harmless: Set<String> = [
        "application_name", "client_encoding", "datestyle", "timezone", "intervalstyle", "extra_float_digits", "geqo", "search_path",
        "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "standard_conforming_strings", "bytea_output",
        "default_transaction_read_only", "default_transaction_isolation", "client_min_messages",
    ]

    /// Reads the body behind length and version.
    init(version: UInt32, body: ByteBuffer) throws(PostgresRefusal) {
        var body = body
        parameters = []
        protocolOptions = []
        while true {
            guard let name = body.readNullTerminatedString() else { throw .protocolViolation("the startup message is cut") }
            if name.isEmpty { break }
            guard let value = body.readNullTerminatedString() else { throw .protocolViolation("the startup message is cut") }
            guard !parameters.contains(where: { $0.name == name }) else { throw .protocolViolation("a startup parameter comes twice") }
            parameters.append((name, value))
            if name.hasPrefix("_pq_.") { protocolOptions.append(name) }
        }
        guard body.readableBytes == 0 else { throw .protocolViolation("bytes follow the startup message's end") }
        wantsNewer = version > Self.version3 || !protocolOptions.isEmpty
    }

    package subscript(name: String) -> String? { parameters.first { $0.name == name }?.value }

    /// What is sent upstream instead, and the names of what was left out.
    ///
    /// The user is the policy's, whoever the client says it is. A client that names another database than the policy's is refused
    /// rather than surprised; no name, or libpq's default (the user's name), means the policy's.
    func pinned(role: String, database: String, allowing extra: Set<String>) throws(PostgresRefusal) -> (message: ByteBuffer, dropped: [String]) {
        if let wanted = self["database"], wanted != database, wanted != self["user"], !wanted.isEmpty {
            throw PostgresRefusal(
                code: "3D000", message: "postern: this forward leads to one database, which is not the one asked for",
                hint: "connect to \"\(database)\", or have a forward to the other database added to the policy")
        }
        var dropped: [String] = []
        let message = PostgresMessage.untyped { buffer in
            buffer.writeInteger(Self.version3)
            for (name, value) in [("user", role), ("database", database)] {
                buffer.writeNullTerminatedString(name)
                buffer.writeNullTerminatedString(value)
            }
            for (name, value) in parameters where name != "user" && name != "database" {
                guard Self.harmless.contains(name.lowercased()) || extra.contains(name.lowercased()) else {
                    dropped.append(name)
                    continue
                }
                buffer.writeNullTerminatedString(name)
                buffer.writeNullTerminatedString(value)
            }
            buffer.writeInteger(UInt8(0))
        }
        return (message, dropped)
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.wantsNewer == right.wantsNewer && left.parameters.elementsEqual(right.parameters, by: ==)
    }

    package func hash(into hasher: inout Hasher) {
        for (name, value) in parameters {
            hasher.combine(name)
            hasher.combine(value)
        }
    }
}
