import PosternJSON

/// One TCP port inside the sandbox that leads to one named host outside.
package struct Forward: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// Bytes are passed through unread, at most `maximumSent` of a connection in each direction.
        case tcp(maximumSent: Int?)
        case postgres(Postgres)
    }

    /// How the perimeter authenticates at a PostgreSQL server in the sandbox's place.
    package struct Postgres: Sendable, Hashable {
        package enum TLS: String, Sendable, Hashable, CaseIterable {
            case verifyFull = "verify-full"
            /// For loopback and tests only.
            case disable
        }
        package var role: String
        package var database: String
        /// Name of the secret that is the role's password.
        package var secret: String?
        package var tls = TLS.verifyFull
        /// Path of a file with PEM certificates that the server's must chain to; `nil` for the system's roots.
        package var caFile: String?
        /// Record the text of statements, not only their digest, size and first keyword.
        package var recordsText = false

        package init(role: String, database: String) {
            self.role = role
            self.database = database
        }
    }

    package var name: String
    /// On 127.0.0.1 inside the sandbox.
    package var listenPort: UInt16
    package var target: Authority
    package var kind: Kind

    package init(name: String, listenPort: UInt16, target: Authority, kind: Kind) {
        self.name = name
        self.listenPort = listenPort
        self.target = target
        self.kind = kind
    }

    /// The same forward where both name it alike, with the smaller bound; `nil` where they differ.
    package func narrowed(by other: Forward) -> Forward? {
        guard name == other.name, listenPort == other.listenPort, target == other.target else { return nil }
        switch (kind, other.kind) {
        case (.tcp(let mine), .tcp(let theirs)):
            return Forward(name: name, listenPort: listenPort, target: target, kind: .tcp(maximumSent: smaller(mine, theirs)))
        case (.postgres(let mine), .postgres(let theirs)): return mine == theirs ? self : nil
        default: return nil
        }
    }
}

extension Forward {
    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        name = try fields.required("name")
        guard let port = try fields.int("listen", in: 1...65_535) else {
            throw PolicyValueError(path: ["listen"], value: "", rule: "must be given", remedy: "name the port on 127.0.0.1 in the sandbox")
        }
        listenPort = UInt16(port)
        do throws(PolicyValueError) {
            target = try Authority(try fields.required("to"))
        } catch {
            throw error.path.isEmpty ? error.below("to") : error
        }
        if let json = fields.member("postgres") {
            do throws(PolicyValueError) {
                kind = .postgres(try Postgres(json: json))
            } catch {
                throw error.below("postgres")
            }
        } else {
            kind = .tcp(maximumSent: try fields.int("max_sent", in: 0...Int.max))
        }
        try fields.finish()
    }

    package var json: JSON {
        var object: JSONObject = ["name": .string(name), "listen": JSON(Int(listenPort)), "to": .string(target.description)]
        switch kind {
        case .tcp(let bound): if let bound { object["max_sent"] = JSON(bound) }
        case .postgres(let postgres): object["postgres"] = postgres.json
        }
        return .object(object)
    }
}

extension Forward.Postgres {
    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        role = try fields.required("role")
        database = try fields.required("database")
        secret = try fields.string("secret")
        tls = try fields.choice("tls", TLS.self) ?? .verifyFull
        caFile = try fields.string("ca_file")
        recordsText = try fields.bool("record_text") ?? false
        try fields.finish()
    }

    package var json: JSON {
        var object: JSONObject = ["role": .string(role), "database": .string(database), "tls": .string(tls.rawValue)]
        if let secret { object["secret"] = .string(secret) }
        if let caFile { object["ca_file"] = .string(caFile) }
        if recordsText { object["record_text"] = true }
        return .object(object)
    }
}
