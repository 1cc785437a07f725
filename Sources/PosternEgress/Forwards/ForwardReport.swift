import PosternJSON
import PosternPolicy

/// What a forward tells the worker about one connection, for the audit.
package struct ForwardReport: Sendable, Hashable {
    package enum Event: Sendable, Hashable {
        /// Nothing of it happens until the worker has it on its disk.
        case intent(ForwardIntent)
        case ended(ForwardOutcome)
    }
    /// The forward's name in the policy.
    package var forward: String
    package var destination: Authority
    /// Numbers the connections of one forward from 1.
    package var connection: Int
    package var policyDigest: String
    package var event: Event
}

extension ForwardReport {
    package var json: JSON {
        var object: JSONObject = [
            "forward": .string(forward), "destination": .string(destination.description), "connection": JSON(connection),
            "policy_digest": .string(policyDigest),
        ]
        switch event {
        case .intent(.connect(let dropped)):
            object["event"] = "connect"
            if !dropped.isEmpty { object["dropped"] = .array(dropped.map { .string(printable($0)) }) }
        case .intent(.statement(let statement)):
            object["event"] = "statement"
            object["statement"] = statement.json
        case .intent(.cancel): object["event"] = "cancel"
        case .ended(let outcome):
            object["event"] = "ended"
            object["outcome"] = outcome.json
        }
        return .object(object)
    }

    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        forward = try fields.required("forward")
        destination = try Authority(try fields.required("destination"))
        connection = try fields.int("connection", in: 1...Int.max) ?? 1
        policyDigest = try fields.string("policy_digest") ?? ""
        let name = try fields.required("event")
        switch name {
        case "connect": event = .intent(.connect(dropped: try fields.strings("dropped")))
        case "statement": event = .intent(.statement(try PostgresStatement(json: fields.member("statement") ?? .null)))
        case "cancel": event = .intent(.cancel)
        case "ended": event = .ended(try ForwardOutcome(json: fields.member("outcome") ?? .null))
        default: throw PolicyValueError(path: ["event"], value: name, rule: "is no event of a forward")
        }
    }
}

extension PostgresStatement {
    package var json: JSON {
        var object: JSONObject = ["kind": .string(kind.rawValue), "keyword": .string(keyword), "size": JSON(size), "digest": .string(digest)]
        object["text"] = text.map(JSON.string)
        return .object(object)
    }

    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        let kind = try fields.required("kind")
        guard let known = Kind(rawValue: kind) else {
            throw PolicyValueError(path: ["kind"], value: kind, rule: "is no kind of statement")
        }
        self.kind = known
        keyword = fields.member("keyword")?.string ?? ""
        size = try fields.int("size", in: 0...Int.max) ?? 0
        digest = try fields.required("digest")
        text = fields.member("text")?.string
    }
}

extension ForwardOutcome {
    package var json: JSON {
        var object: JSONObject = ["sent": JSON(sent), "received": JSON(received), "statements": JSON(statements), "errors": JSON(errors)]
        switch end {
        case .client: object["end"] = "client"
        case .upstream: object["end"] = "upstream"
        case .bound(let reason):
            object["end"] = "bound"
            object["reason"] = .string(reason)
        case .refused(let reason):
            object["end"] = "refused"
            object["reason"] = .string(reason)
        }
        return .object(object)
    }

    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        self.init()
        let reason = fields.member("reason")?.string ?? ""
        let name = try fields.required("end")
        switch name {
        case "client": end = .client
        case "upstream": end = .upstream
        case "bound": end = .bound(reason)
        case "refused": end = .refused(reason)
        default: throw PolicyValueError(path: ["end"], value: name, rule: "is no end of a connection")
        }
        sent = try fields.int("sent", in: 0...Int.max) ?? 0
        received = try fields.int("received", in: 0...Int.max) ?? 0
        statements = try fields.int("statements", in: 0...Int.max) ?? 0
        errors = try fields.int("errors", in: 0...Int.max) ?? 0
    }
}
