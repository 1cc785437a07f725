import PosternJSON

/// Compares what the perimeter recorded of a session with what the control plane's event log says of it. A value without I/O: both streams
/// are fed to it, in any order between them; it keeps some 200 bytes a call.
package struct AuditReconciler: Sendable {
    private struct Call: Sendable {
        var tool: String?
        var inputDigest: String?
        var intents = 0
        var outcomes: [String] = []
        var isUnknown = false

        var eventTool: String?
        var eventDigest: String?
        var isCustom = false
        var isAsked = false
        /// Result events of a worker or client, with the digest of each.
        var results: [(digest: String?, isError: Bool)] = []
        /// Settled by the control plane in its own name.
        var isSettledThere = false
    }

    private let session: String
    private let key: AuditKey?
    private var calls: [String: Call] = [:]
    private var order: [String] = []

    /// - Parameter key: the worker's key for digests; without it, contents are not compared.
    package init(session: String, key: AuditKey?) {
        self.session = session
        self.key = key
    }

    /// A record of the audit log; those of other sessions are passed over.
    package mutating func take(record: AuditLine) {
        guard record.session == session, !record.call.isEmpty else { return }
        switch record.kind {
        case "intent":
            update(record.call) { call in
                call.intents += 1
                call.tool = record.json["tool"]?.string
                call.inputDigest = record.body["input"]?["hmac_sha256"]?.string
            }
        case "outcome":
            let digest = record.body["output"]?["hmac_sha256"]?.string ?? ""
            update(record.call) { call in
                call.outcomes.append(digest)
                call.tool = call.tool ?? record.json["tool"]?.string
            }
        case "unknown": update(record.call) { $0.isUnknown = true }
        default: break
        }
    }

    /// An event of the session, as the API lists it.
    package mutating func take(event: JSON) {
        let id = event["id"]?.string ?? ""
        switch event["type"]?.string {
        case "agent.tool_use", "agent.custom_tool_use":
            let digest = event["input"].flatMap { input in key?.digest(.input, of: input) }
            update(id) { call in
                call.isAsked = true
                call.isCustom = event["type"] == "agent.custom_tool_use"
                call.eventTool = event["name"]?.string
                call.eventDigest = digest
            }
        case "user.tool_result", "user.custom_tool_result":
            guard let call = event["tool_use_id"]?.string ?? event["custom_tool_use_id"]?.string else { return }
            let digest = event["content"].flatMap { content in key?.digest(.output, of: content) }
            update(call) { $0.results.append((digest, event["is_error"]?.bool ?? false)) }
        case "agent.tool_result":
            guard let call = event["tool_use_id"]?.string else { return }
            update(call) { $0.isSettledThere = true }
        default: break
        }
    }

    package func finish() -> ReconcileReport {
        var report = ReconcileReport(session: session, comparesContent: key != nil)
        for id in order {
            guard let call = calls[id] else { continue }
            report.calls += 1
            report.intents += call.intents
            report.outcomes += call.outcomes.count
            report.results += call.results.count
            let findings = Self.findings(call)
            if findings.isEmpty { report.agreeing += 1 }
            for (isViolation, what) in findings { report.add(.init(call: id, isViolation: isViolation, what: what)) }
        }
        return report
    }

    private mutating func update(_ id: String, _ body: (inout Call) -> Void) {
        if calls[id] == nil { order.append(id) }
        body(&calls[id, default: Call()])
    }

    /// What does not agree, and whether it cannot have come about by a crash or by the control plane's own doing.
    private static func findings(_ call: Call) -> [(isViolation: Bool, what: String)] {
        var findings: [(Bool, String)] = []
        if !call.isAsked {
            if call.intents > 0 { return [(true, "the worker recorded a call that the control plane's log does not have")] }
            return [(false, "there is a result or an outcome, and the control plane's log does not have the call")]
        }
        if call.intents > 1 { findings.append((true, "the worker began the call \(call.intents) times")) }
        if let tool = call.tool, let name = call.eventTool, tool != name {
            findings.append((true, "the worker ran the tool \(tool), and the control plane's log says \(name)"))
        }
        if let mine = call.inputDigest, let theirs = call.eventDigest, mine != theirs {
            findings.append((true, "the input that the worker ran is not the one in the control plane's log"))
        }
        for result in call.results { if let finding = finding(call, result) { findings.append(finding) } }
        if call.results.isEmpty, !call.isSettledThere {
            if !call.outcomes.isEmpty { findings.append((false, "the worker has an outcome that the control plane does not have")) }
            if call.outcomes.isEmpty, call.intents > 0 { findings.append((false, "the call has an intent and neither outcome nor result")) }
        }
        if call.isUnknown, call.outcomes.isEmpty { findings.append((false, "the worker does not know whether the call took effect")) }
        return findings
    }

    private static func finding(_ call: Call, _ result: (digest: String?, isError: Bool)) -> (Bool, String)? {
        if call.outcomes.isEmpty {
            // A client answers custom tools, and the control plane settles calls of workers that were lost, with an error.
            if call.isCustom, call.intents == 0 { return nil }
            return (!result.isError, "the control plane has a result that no outcome of the worker stands for")
        }
        guard let digest = result.digest, !call.outcomes.contains(digest) else { return nil }
        return (!result.isError, "the result in the control plane's log is not the one that the worker sent")
    }
}
