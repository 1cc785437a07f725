import PosternAudit
import PosternEgress
import PosternJSON
import PosternPolicy

/// What the proxy reports, as records of the audit. The proxy never writes the log itself: it waits until the worker has.
struct EgressRecords: Sendable {
    let audit: AuditLog
    let sessionID: String
    let workID: String
    let timestamp: @Sendable () -> String

    /// Returns once the record is past the disk's cache (`durable`) or with the kernel.
    func write(_ kind: AuditRecord.Kind, policy: String? = nil, durable: Bool) async throws(FileError) {
        try await audit.append(
            AuditRecord(time: timestamp(), sessionID: sessionID, workID: workID, policy: policy?.isEmpty == false ? policy : nil, kind: kind),
            durable: durable)
    }

    func intent(_ id: Int, _ intent: EgressIntent) async throws(FileError) {
        let request = AuditRecord.EgressRequest(
            id: Self.name(id), host: intent.destination.host.description, port: Int(intent.destination.port),
            method: intent.method ?? "CONNECT", path: intent.path.map { audit.digest(.input, of: .string($0)) }, address: intent.address?.description,
            rule: intent.rule, decision: "allow", isOpaque: intent.kind == .tunnel)
        try await write(.egressIntent(request), policy: intent.policyDigest, durable: true)
    }

    func outcome(_ id: Int, _ outcome: EgressOutcome) async throws(FileError) {
        try await write(
            .egressOutcome(
                AuditRecord.EgressOutcome(
                    id: Self.name(id), status: outcome.status, bytesSent: outcome.sent, bytesReceived: outcome.received,
                    milliseconds: outcome.milliseconds, error: outcome.failure)), durable: false)
    }

    func refusal(_ id: Int, _ refusal: EgressRefusal) async throws(FileError) {
        let request = AuditRecord.EgressRequest(
            id: Self.name(id), host: refusal.destination?.host.description ?? "", port: refusal.destination.map { Int($0.port) } ?? 0, method: "",
            rule: refusal.rule, decision: "\(refusal.kind.rawValue): \(refusal.reason)")
        try await write(.egressRefused(request), durable: false)
    }

    func secrets(_ names: [String], call: Int, _ destination: Authority) async throws(FileError) {
        for (index, name) in names.enumerated() {
            let use = AuditRecord.SecretUse(
                name: name, host: destination.host.description, place: "request to port \(destination.port)", request: Self.name(call))
            // One flush covers them all.
            try await write(.secretUsed(use), durable: index == names.count - 1)
        }
    }

    func masked(_ counts: [String: Int]) async throws(FileError) {
        try await write(.redacted(AuditRecord.Redactions(door: "egress", action: "mask", counts: counts)), durable: false)
    }

    /// What redaction rules met in bodies of requests.
    func redacted(_ action: String, _ counts: [String: Int]) async throws(FileError) {
        try await write(.redacted(AuditRecord.Redactions(door: "request", action: action, counts: counts)), durable: false)
    }

    func forward(_ report: ForwardReport, role: Forward.Postgres?) async throws(FileError) {
        let connection = "\(report.forward)-\(report.connection)"
        let (host, port) = (report.destination.host.description, Int(report.destination.port))
        switch report.event {
        case .intent(.connect):
            let request = AuditRecord.EgressRequest(
                id: connection, host: host, port: port, method: role == nil ? "TCP" : "POSTGRES", rule: "forwards.\(report.forward)",
                decision: "allow",
                isOpaque: role == nil)
            try await write(.egressIntent(request), policy: report.policyDigest, durable: true)
        case .intent(.cancel):
            let request = AuditRecord.EgressRequest(
                id: "\(connection)-cancel", host: host, port: port, method: "CANCEL", rule: "forwards.\(report.forward)", decision: "allow")
            try await write(.egressIntent(request), policy: report.policyDigest, durable: true)
        case .intent(.statement(let statement)):
            let record = AuditRecord.Statement(
                connection: connection, text: AuditRecord.Digest(digest: statement.digest, bytes: statement.size), keyword: statement.keyword,
                database: role?.database ?? "", role: role?.role ?? "")
            try await write(.statement(record), policy: report.policyDigest, durable: true)
        case .ended(let outcome):
            var failure: String?
            switch outcome.end {
            case .client, .upstream: break
            case .bound(let reason), .refused(let reason): failure = reason
            }
            try await write(
                .egressOutcome(
                    AuditRecord.EgressOutcome(
                        id: connection, status: nil, bytesSent: outcome.sent, bytesReceived: outcome.received, milliseconds: 0, error: failure)),
                durable: false)
        }
    }

    static func name(_ id: Int) -> String { "call-\(id)" }
}
