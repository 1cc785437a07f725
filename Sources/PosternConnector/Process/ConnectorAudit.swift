import PosternAudit
import PosternGate
import PosternTunnelWire

/// Calls in the perimeter's audit log.
package struct ConnectorAudit: CallAudit {
    private let log: AuditLog
    private let tunnelID: String
    private let time: @Sendable () -> String

    /// - Parameter time: now, RFC 3339.
    package init(_ log: AuditLog, tunnelID: String, time: @escaping @Sendable () -> String) {
        self.log = log
        self.tunnelID = tunnelID
        self.time = time
    }

    func content(_ settings: RouteAudit, _ rules: PayloadRules?) -> CallContent { CallContent(log.key, settings, rules) }

    func begins(_ call: CallRecord) async throws(CallError) {
        try await append(.tunnelIntent(body(call, decision: call.judged?.rule == nil ? "allowed" : "would_refuse")), call.identity, durable: true)
    }

    func ended(_ call: CallRecord, _ progress: CallProgress.State, error: CallError?, milliseconds: Int) async throws(CallError) {
        var outcome = AuditRecord.TunnelOutcome(
            id: call.id, status: progress.status, bytesSent: progress.sent, bytesReceived: progress.received, milliseconds: milliseconds,
            error: error?.code)
        outcome.hiddenTools = progress.hidden
        if let said = progress.content?.now {
            outcome.request = said.request
            outcome.answer = said.answer
            outcome.outputs = said.outputs
            outcome.furtherOutputs = said.furtherOutputs
        }
        for found in progress.redacted {
            try await append(.redacted(.init(door: "tunnel", action: found.action.rawValue, counts: found.counts)), call.identity, durable: false)
        }
        try await append(.tunnelOutcome(outcome), call.identity, durable: false)
    }

    func configured(number: Int, digest: String) async throws(CallError) {
        try await append(
            .policyLoaded(.init(name: "connector \(tunnelID)", version: number, digest: digest, ceiling: nil)), nil, durable: true)
    }

    func refused(_ call: CallRecord?, id: String, route: String?, _ error: CallError) async throws(CallError) {
        var body = AuditRecord.TunnelCall(
            id: id, tunnel: tunnelID, route: route, upstream: call?.upstream, method: call?.method,
            caller: call.map { Self.caller($0.identity) } ?? [:],
            decision: error.code)
        if let call { Self.note(call, &body) }
        if case .policy(let refusal) = error { body.rule = refusal.rule }
        try await append(.tunnelRefused(body), call?.identity, durable: false)
    }

    private func body(_ call: CallRecord, decision: String) -> AuditRecord.TunnelCall {
        var body = AuditRecord.TunnelCall(
            id: call.id, tunnel: tunnelID, route: call.route, upstream: call.upstream, method: call.method, caller: Self.caller(call.identity),
            decision: decision)
        Self.note(call, &body)
        return body
    }

    private static func note(_ call: CallRecord, _ body: inout AuditRecord.TunnelCall) {
        guard let judged = call.judged else { return }
        body.messages = judged.messages.map { .init(method: $0.method, tool: $0.tool, input: $0.input) }
        body.rule = judged.rule
    }

    private static func caller(_ identity: RuntimeIdentity) -> [String: String] {
        var caller: [String: String] = [:]
        caller["client"] = identity.client
        caller["person"] = identity.person
        caller["issuer"] = identity.issuer
        caller["agent"] = identity.agentID
        caller["agent_version"] = identity.agentVersion.map(String.init)
        caller["configuration"] = identity.configurationDigest
        return caller
    }

    private func append(_ kind: AuditRecord.Kind, _ identity: RuntimeIdentity?, durable: Bool) async throws(CallError) {
        do throws(FileError) {
            try await log.append(AuditRecord(time: time(), sessionID: identity?.sessionID, kind: kind), durable: durable)
        } catch {
            throw .auditFailed("\(error)")
        }
    }
}
