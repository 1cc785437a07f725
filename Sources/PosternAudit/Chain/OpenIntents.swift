/// The intents that have no outcome yet. Both the writer and whoever reads a log keep this, from the records alone.
struct OpenIntents: Sendable, Equatable {
    typealias Intent = AuditRecord.OpenIntent

    struct Key: Hashable, Sendable {
        var kind: Intent.Kind
        var session: String
        var id: String
    }

    private var seqs: [Key: Int] = [:]

    var count: Int { seqs.count }

    /// In the order of their records.
    var all: [Intent] {
        seqs.map { Intent(kind: $0.kind, session: $0.session, id: $0.id, seq: $1) }.sorted { ($0.seq, $0.id) < ($1.seq, $1.id) }
    }

    func all(session: String) -> [Intent] { all.filter { $0.session == session } }

    mutating func open(_ intent: Intent) { seqs[Key(kind: intent.kind, session: intent.session, id: intent.id)] = intent.seq }

    /// Whether it was open.
    @discardableResult
    mutating func close(_ kind: Intent.Kind, session: String, id: String) -> Bool {
        seqs.removeValue(forKey: Key(kind: kind, session: session, id: id)) != nil
    }

    mutating func note(_ record: AuditRecord, seq: Int) {
        let session = record.sessionID ?? ""
        switch record.kind {
        case .intent: open(Intent(kind: .tool, session: session, id: record.callID ?? "", seq: seq))
        case .egressIntent(let request): open(Intent(kind: .egress, session: session, id: request.id, seq: seq))
        case .tunnelIntent(let call): open(Intent(kind: .tunnel, session: session, id: call.id, seq: seq))
        case .tunnelOutcome(let outcome): close(.tunnel, session: session, id: outcome.id)
        case .outcome: close(.tool, session: session, id: record.callID ?? "")
        case .egressOutcome(let outcome): close(.egress, session: session, id: outcome.id)
        case .unknown(let intent): close(intent.kind, session: intent.session, id: intent.id)
        default: break
        }
    }
}
