import PosternJSON
import PosternPolicy

extension EgressReport {
    package var json: JSON {
        switch self {
        case .ready(let session, let certificate): ["type": "ready", "session": .string(session), "certificate": .string(certificate)]
        case .intent(let id, let session, let intent): Self.head("intent", id, session, intent.json)
        case .spent(let session, let host, let bytes):
            ["type": "spent", "session": .string(session), "host": .string(host.description), "bytes": JSON(bytes)]
        case .outcome(let id, let session, let outcome): Self.head("outcome", id, session, outcome.json)
        case .refusal(let id, let session, let refusal): Self.head("refusal", id, session, refusal.json)
        case .secretUsed(let id, let session, let call, let names, let destination):
            Self.head(
                "secret_used", id, session,
                ["call": JSON(call), "names": .array(names.map(JSON.string)), "destination": .string(destination.description)])
        case .masked(let session, let call, let counts):
            ["type": "masked", "session": .string(session), "call": JSON(call), "counts": Self.json(counts)]
        case .redacted(let session, let action, let counts):
            ["type": "redacted", "session": .string(session), "action": .string(action), "counts": Self.json(counts)]
        case .ask(let id, let session, let ask): Self.head("ask", id, session, ask.json)
        case .forward(let id, let session, let report): Self.head("forward", id, session, report.json)
        case .paused(let session, let isPaused): ["type": "paused", "session": .string(session), "paused": .bool(isPaused)]
        case .failure(let session, let reason): ["type": "failure", "session": .string(session), "reason": .string(reason)]
        }
    }

    private static func json(_ counts: [String: Int]) -> JSON {
        .object(JSONObject(counts.sorted { $0.key < $1.key }.map { ($0.key, JSON($0.value)) }))
    }

    private static func counts(_ json: JSON?) -> [String: Int] {
        var counts: [String: Int] = [:]
        for (name, count) in json?.object ?? [:] { counts[name] = count.int ?? 0 }
        return counts
    }

    private static func head(_ type: String, _ id: Int, _ session: String, _ body: JSON) -> JSON {
        ["type": .string(type), "id": JSON(id), "session": .string(session), "body": body]
    }

    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        let type = try fields.required("type")
        let session = try fields.string("session") ?? ""
        let id = try fields.int("id", in: 0...Int.max) ?? 0
        let body = fields.member("body") ?? .null
        switch type {
        case "ready": self = .ready(session: session, certificate: try fields.required("certificate"))
        case "intent": self = .intent(id: id, session: session, try EgressIntent(json: body))
        case "spent":
            self = .spent(session: session, try CanonicalHost(try fields.required("host")), try fields.int("bytes", in: 0...Int.max) ?? 0)
        case "outcome": self = .outcome(id: id, session: session, try EgressOutcome(json: body))
        case "refusal": self = .refusal(id: id, session: session, try EgressRefusal(json: body))
        case "secret_used":
            var inner = try FieldReader(body)
            self = .secretUsed(
                id: id, session: session, call: try inner.int("call", in: 0...Int.max) ?? 0, names: try inner.strings("names"),
                destination: try Authority(try inner.required("destination")))
        case "masked":
            self = .masked(session: session, call: try fields.int("call", in: 0...Int.max) ?? 0, counts: Self.counts(fields.member("counts")))
        case "redacted":
            self = .redacted(session: session, action: try fields.required("action"), counts: Self.counts(fields.member("counts")))
        case "ask": self = .ask(id: id, session: session, try EgressAsk(json: body))
        case "forward": self = .forward(id: id, session: session, try ForwardReport(json: body))
        case "paused": self = .paused(session: session, try fields.bool("paused") ?? false)
        case "failure": self = .failure(session: session, reason: try fields.required("reason"))
        default: throw PolicyValueError(path: ["type"], value: type, rule: "is no report of the egress proxy")
        }
    }
}

extension EgressIntent {
    package var json: JSON {
        [
            "kind": .string(kind.rawValue), "destination": .string(destination.description), "address": JSON(address?.description),
            "rule": .string(rule), "method": JSON(method), "path": JSON(path), "policy_digest": .string(policyDigest),
        ]
    }

    init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        kind = try fields.choice("kind", Kind.self) ?? .https
        destination = try Authority(try fields.required("destination"))
        address = try fields.string("address").flatMap { IPAddress($0) }
        rule = try fields.string("rule") ?? ""
        method = try fields.string("method")
        path = try fields.string("path")
        policyDigest = try fields.string("policy_digest") ?? ""
    }
}

extension EgressOutcome {
    package var json: JSON {
        [
            "status": status.map { JSON($0) } ?? .null, "sent": JSON(sent), "received": JSON(received), "ms": JSON(milliseconds),
            "failure": JSON(failure),
        ]
    }

    init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        status = try fields.int("status", in: 0...999)
        sent = try fields.int("sent", in: 0...Int.max) ?? 0
        received = try fields.int("received", in: 0...Int.max) ?? 0
        milliseconds = try fields.int("ms", in: 0...Int.max) ?? 0
        failure = try fields.string("failure")
    }
}

extension EgressRefusal {
    package var json: JSON {
        [
            "kind": .string(kind.rawValue), "destination": JSON(destination?.description), "rule": JSON(rule), "reason": .string(reason),
            "remedy": .string(remedy), "secret": JSON(secret), "method": JSON(method), "path": JSON(path),
            "credentials": .array(credentials.map(JSON.string)), "address": JSON(address?.description),
        ]
    }

    init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        kind = try fields.choice("kind", Kind.self) ?? .policy
        destination = try fields.string("destination").map { (text: String) throws(PolicyValueError) in try Authority(text) }
        rule = try fields.string("rule")
        reason = try fields.string("reason") ?? ""
        remedy = try fields.string("remedy") ?? ""
        secret = try fields.string("secret")
        method = try fields.string("method")
        path = try fields.string("path")
        credentials = try fields.strings("credentials")
        address = try fields.string("address").flatMap { IPAddress($0) }
    }
}

extension EgressAsk {
    package var json: JSON {
        ["budget": .string(budget), "destination": .string(destination.description), "limit": JSON(limit), "used": JSON(used)]
    }

    init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        budget = try fields.required("budget")
        destination = try Authority(try fields.required("destination"))
        limit = try fields.int("limit", in: 0...Int.max) ?? 0
        used = try fields.int("used", in: 0...Int.max) ?? 0
    }
}
