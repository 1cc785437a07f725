extension AuditRecord {
    /// What happened. The bodies are in `AuditBodies.swift` and `ChainBodies.swift`, their JSON in `AuditKind+JSON.swift`.
    package enum Kind: Sendable, Equatable {
        // Tool calls.
        /// A call is about to run; on the disk before it does.
        case intent(input: Digest)
        /// What came of a call.
        case outcome(Outcome)
        /// An output that was too large was written to a file in the sandbox.
        case offloaded(Offload)
        /// What a gate masked or blocked.
        case redacted(Redactions)
        /// A file decision of worker, init or gate.
        case fileDecision(FileDecision)
        /// What a look at a workspace found: how many of each kind.
        case workspaceScanned(counts: [String: Int])

        // Egress.
        /// A request is about to go upstream; on the disk before its first byte does.
        case egressIntent(EgressRequest)
        case egressOutcome(EgressOutcome)
        case egressRefused(EgressRequest)
        /// A statement is about to go to a database.
        case statement(Statement)
        /// A secret was put into a request. Its name, never its value.
        case secretUsed(SecretUse)
        /// The value of a secret became another one, or could not be had.
        case secretChanged(SecretChange)
        /// A byte budget was warned about, used up or raised.
        case budget(BudgetState)

        // Tunnels.
        /// A call is about to go to an MCP server behind a connector; on the disk before its first byte does.
        case tunnelIntent(TunnelCall)
        case tunnelOutcome(TunnelOutcome)
        case tunnelRefused(TunnelCall)

        // The worker, its sessions and its rules.
        case workerStarted(WorkerStart)
        case workerStopped(reason: String)
        case sessionStarted(SessionStart)
        case sessionStopped(reason: String)
        case policyLoaded(PolicyLoad)
        /// A key of Postern's own was read or used, by name.
        case keyUsed(name: String, purpose: String)
        case approval(Approval)
        case frozen(Freeze)
        case thawed(subject: String, by: String)
        case selfTest(SelfTest)
        /// A layer of the sandbox is not in force.
        case layerOff(layer: String, reason: String)

        // What the log says of itself.
        /// The first record of a chain.
        case genesis(Genesis)
        /// The first record of every later file.
        case rotated(Rotation)
        /// Bytes that a crash left behind the last whole line; they stand right before this record.
        case tornTail(TornTail)
        /// An intent without an outcome: whether it took effect is not known.
        case unknown(OpenIntent)
        /// Equal denials that were counted and not written.
        case repeated(Repetition)
        /// A session used up the records that it may write; its work stops.
        case sessionSuspended(records: Int)
        /// Something is known to be missing.
        case gap(what: String, count: Int)
        /// The disk is full: from here on only records that tell how work ended are taken, into space that was reserved for them.
        case spaceExhausted
        case checkpoint(Checkpoint)
    }
}

extension AuditRecord.Kind {
    /// The member `kind` of a line. A line of any other kind is no record.
    package enum Name: String, Sendable, CaseIterable {
        case intent
        case outcome
        case offload
        case redaction
        case fileDecision = "file_decision"
        case workspaceScan = "workspace_scan"
        case egressIntent = "egress_intent"
        case egressOutcome = "egress_outcome"
        case egressRefused = "egress_refused"
        case statement
        case secretUse = "secret_use"
        case secretChange = "secret_change"
        case budget
        case tunnelIntent = "tunnel_intent"
        case tunnelOutcome = "tunnel_outcome"
        case tunnelRefused = "tunnel_refused"
        case workerStart = "worker_start"
        case workerStop = "worker_stop"
        case sessionStart = "session_start"
        case sessionStop = "session_stop"
        case policyLoad = "policy_load"
        case keyUse = "key_use"
        case approval
        case freeze
        case thaw
        case selfTest = "self_test"
        case layerOff = "layer_off"
        case genesis
        case rotation
        case tornTail = "torn_tail"
        case unknown
        case repeated
        case sessionSuspended = "session_suspended"
        case gap
        case spaceExhausted = "space_exhausted"
        case checkpoint
    }

    package var name: String { label.rawValue }

    package var label: Name {
        switch self {
        case .intent: .intent
        case .outcome: .outcome
        case .offloaded: .offload
        case .redacted: .redaction
        case .fileDecision: .fileDecision
        case .workspaceScanned: .workspaceScan
        case .egressIntent: .egressIntent
        case .egressOutcome: .egressOutcome
        case .egressRefused: .egressRefused
        case .statement: .statement
        case .secretUsed: .secretUse
        case .secretChanged: .secretChange
        case .budget: .budget
        case .tunnelIntent: .tunnelIntent
        case .tunnelOutcome: .tunnelOutcome
        case .tunnelRefused: .tunnelRefused
        case .workerStarted: .workerStart
        case .workerStopped: .workerStop
        case .sessionStarted: .sessionStart
        case .sessionStopped: .sessionStop
        case .policyLoaded: .policyLoad
        case .keyUsed: .keyUse
        case .approval: .approval
        case .frozen: .freeze
        case .thawed: .thaw
        case .selfTest: .selfTest
        case .layerOff: .layerOff
        case .genesis: .genesis
        case .rotated: .rotation
        case .tornTail: .tornTail
        case .unknown: .unknown
        case .repeated: .repeated
        case .sessionSuspended: .sessionSuspended
        case .gap: .gap
        case .spaceExhausted: .spaceExhausted
        case .checkpoint: .checkpoint
        }
    }

    /// Whether work begins once this is on the disk. Such a record is refused first when space or a session's share runs out;
    /// those that tell how work ended are taken for as long as anything can be written.
    var opensWork: Bool {
        switch self {
        case .intent, .egressIntent, .tunnelIntent, .statement, .sessionStarted, .thawed: true
        default: false
        }
    }

    /// Whether this tells how work that was let begin has ended. Taken for as long as anything can be written.
    var endsWork: Bool {
        switch self {
        case .outcome, .egressOutcome, .tunnelOutcome, .unknown, .sessionStopped, .workerStopped, .frozen, .repeated, .sessionSuspended,
            .gap, .spaceExhausted:
            true
        default: false
        }
    }

    /// Whether a signature must follow at once.
    var wantsCheckpoint: Bool {
        switch self {
        case .frozen, .selfTest: true
        default: false
        }
    }
}
