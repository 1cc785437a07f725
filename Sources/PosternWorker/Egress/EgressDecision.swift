import PosternEgress
import PosternJSON
import PosternPolicy

/// One decision of a session's egress proxy, or the end of what it allowed, for whoever follows on this machine. No secret's value is in it.
package struct EgressDecision: Sendable, Hashable {
    package enum Event: String, Sendable, Hashable, CaseIterable {
        /// It is in the audit, and goes out now.
        case allowed
        /// It did not go out, or not on.
        case refused
        /// What was allowed is over.
        case ended
    }

    /// RFC 3339, UTC.
    package var time: String
    package var session: String
    package var event: Event
    /// As in the audit; joins `allowed` and `ended`.
    package var call: String?
    package var destination: Authority?
    /// `CONNECT` for an opaque connection, `TCP` and `POSTGRES` for a forward; `nil` where no request was read.
    package var method: String?
    /// Without query.
    package var path: String?
    package var rule: String?
    /// Of a refusal.
    package var kind: EgressRefusal.Kind?
    /// Why it was refused, or ended early.
    package var reason: String?
    package var remedy: String?
    /// The address that is dialled, or is not.
    package var address: IPAddress?
    /// Of a refusal: the secrets that the request carried where they belong.
    package var credentials: [String] = []
    package var status: Int?
    package var sent: Int?
    package var received: Int?
    package var milliseconds: Int?

    package init(time: String, session: String, _ event: Event) {
        self.time = time
        self.session = session
        self.event = event
    }
}

extension EgressDecision {
    package var json: JSON {
        var object: JSONObject = ["type": "egress", "time": .string(time), "session": .string(session), "event": .string(event.rawValue)]
        let texts: [(String, String?)] = [
            ("call", call), ("host", destination?.host.description), ("method", method), ("path", path), ("rule", rule), ("kind", kind?.rawValue),
            ("reason", reason), ("remedy", remedy?.isEmpty == true ? nil : remedy), ("address", address?.description),
        ]
        for (name, text) in texts { object[name] = text.map(JSON.string) }
        if let destination { object["port"] = JSON(Int(destination.port)) }
        if !credentials.isEmpty { object["credentials"] = .array(credentials.map(JSON.string)) }
        for (name, number) in [("status", status), ("sent", sent), ("received", received), ("ms", milliseconds)] {
            object[name] = number.map { JSON($0) }
        }
        return .object(object)
    }

    package init(json: JSON) throws(LocalControlError) {
        guard json["type"] == "egress", let time = json["time"]?.string, let session = json["session"]?.string,
            let event = json["event"]?.string.flatMap(Event.init(rawValue:))
        else { throw LocalControlError("the worker's line is no decision; is it of another version?") }
        self.init(time: time, session: session, event)
        call = json["call"]?.string
        if let host = json["host"]?.string, let port = json["port"]?.int.flatMap({ UInt16(exactly: $0) }) {
            guard let host = try? CanonicalHost(host) else { throw LocalControlError("the worker's line names a host that is none") }
            destination = Authority(host: host, port: port)
        }
        (method, path, rule) = (json["method"]?.string, json["path"]?.string, json["rule"]?.string)
        kind = json["kind"]?.string.flatMap(EgressRefusal.Kind.init(rawValue:))
        (reason, remedy) = (json["reason"]?.string, json["remedy"]?.string)
        address = json["address"]?.string.flatMap { IPAddress($0) }
        credentials = json["credentials"]?.array?.compactMap(\.string) ?? []
        (status, sent) = (json["status"]?.int, json["sent"]?.int)
        (received, milliseconds) = (json["received"]?.int, json["ms"]?.int)
    }
}

extension EgressDecision {
    /// What a report of the proxy says to whoever follows; `nil` for reports that are no decision.
    /// - Parameter destination: where the call of an outcome went.
    init?(_ report: EgressReport, session: String, time: String, destination: Authority? = nil) {
        switch report {
        case .intent(let id, _, let intent):
            self.init(time: time, session: session, .allowed)
            call = EgressRecords.name(id)
            self.destination = intent.destination
            (method, path, rule) = (intent.method ?? "CONNECT", intent.path, intent.rule)
            address = intent.address
        case .refusal(_, _, let refusal):
            self.init(time: time, session: session, .refused)
            self.destination = refusal.destination
            (method, path, rule) = (refusal.method, refusal.path, refusal.rule)
            (kind, reason, remedy) = (refusal.kind, refusal.reason, refusal.remedy)
            (address, credentials) = (refusal.address, refusal.credentials)
        case .outcome(let id, _, let outcome):
            self.init(time: time, session: session, .ended)
            call = EgressRecords.name(id)
            self.destination = destination
            (status, sent, received, milliseconds) = (outcome.status, outcome.sent, outcome.received, outcome.milliseconds)
            reason = outcome.failure
        case .forward(_, _, let report):
            guard let decision = Self.forward(report, session: session, time: time) else { return nil }
            self = decision
        case .ready, .spent, .secretUsed, .masked, .redacted, .ask, .paused, .failure: return nil
        }
    }

    private static func forward(_ report: ForwardReport, session: String, time: String) -> EgressDecision? {
        var decision: EgressDecision
        switch report.event {
        case .intent(.connect), .intent(.cancel): decision = EgressDecision(time: time, session: session, .allowed)
        // Statements are in the audit, by digest.
        case .intent(.statement): return nil
        case .ended(let outcome):
            decision = EgressDecision(time: time, session: session, .ended)
            (decision.sent, decision.received) = (outcome.sent, outcome.received)
            switch outcome.end {
            case .client, .upstream: break
            case .bound(let reason), .refused(let reason): decision.reason = reason
            }
        }
        decision.call = "\(report.forward)-\(report.connection)"
        decision.destination = report.destination
        decision.rule = "forwards.\(report.forward)"
        return decision
    }
}
