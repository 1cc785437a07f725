import PosternAudit
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

    func begins(_ call: CallRecord) async throws(CallError) {
        try await append(.tunnelIntent(body(call, decision: "allowed")), call.identity, durable: true)
    }

    func ended(_ call: CallRecord, _ progress: CallProgress.State, error: CallError?, milliseconds: Int) async throws(CallError) {
        try await append(
            .tunnelOutcome(
                .init(
                    id: call.id, status: progress.status, bytesSent: progress.sent, bytesReceived: progress.received, milliseconds: milliseconds,
                    error: error?.code)),
            call.identity, durable: false)
    }

    func refused(_ call: CallRecord?, id: String, route: String?, _ error: CallError) async throws(CallError) {
        let body = AuditRecord.TunnelCall(
            id: id, tunnel: tunnelID, route: route, upstream: call?.upstream, method: call?.method,
            caller: call.map { Self.caller($0.identity) } ?? [:],
            decision: error.code)
        try await append(.tunnelRefused(body), call?.identity, durable: false)
    }

    private func body(_ call: CallRecord, decision: String) -> AuditRecord.TunnelCall {
        .init(
            id: call.id, tunnel: tunnelID, route: call.route, upstream: call.upstream, method: call.method, caller: Self.caller(call.identity),
            decision: decision)
    }

    private static func caller(_ identity: RuntimeIdentity) -> [String: String] {
        var caller: [String: String] = [:]
        caller["client"] = identity.client
        caller["person"] = identity.person
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
