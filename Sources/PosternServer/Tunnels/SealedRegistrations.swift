import Crypto
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternTunnelWire

/// Logs of registrations, signed with a key that is derived from the seal key: one for each workspace, the same after every start, and stored nowhere.
extension SealedTunnelCredentials: RegistrationNotary {
    /// Entries that are left for what takes something away, when nothing else is taken any more.
    private static let reserve = 40

    package func begin(
        _ tunnel: TunnelRecord, mode: String, certificates: [TunnelCertificateRecord], connectorKeys: [String], at time: Timestamp
    ) -> [UInt8] {
        RegistrationEntry(
            tunnelID: tunnel.id, at: time.seconds,
            .tunnel(
                RegistrationMode(rawValue: mode) ?? .signed, certificates: certificates.map { .init(fingerprint: $0.fingerprint, pem: $0.pem) },
                connectorKeys: connectorKeys.sorted())
        ).encoded
    }

    package func entry(
        _ change: RegistrationChange, after log: [[UInt8]], tunnelID: String, at time: Timestamp
    ) throws(APIError) -> [UInt8] {
        let ledger = try Self.ledger(log, tunnelID)
        // A clock that was set back does not make the log go backwards.
        let at = max(time.seconds, ledger.lastAt)
        guard ledger.size < RegistrationLedger.mostEntries - Self.reserve || change.isTaking else {
            throw .invalid(
                "Tunnel \(tunnelID) has \(ledger.size) registrations, which is the most: create another tunnel.",
                details: ["error_code": "registration_limit_reached"])
        }
        do throws(RegistrationError) {
            let entry = RegistrationEntry(tunnelID: tunnelID, at: at, try Self.kind(change, ledger, at: at))
            // Certificates and keys are guarded by the store, which says more exactly what is wrong with them; what is in the log alone, here.
            if change.isOfTheLogAlone {
                var next = ledger
                try next.apply(entry)
            }
            return entry.encoded
        } catch {
            throw .invalid("registration: \(error).", details: ["error_code": .string(error.code)])
        }
    }

    private static func kind(
        _ change: RegistrationChange, _ ledger: RegistrationLedger, at time: Int
    ) throws(RegistrationError) -> RegistrationEntry.Kind {
        switch change {
        case .certificateAdded(let fingerprint, let pem, let json):
            let statement = try statement(json)
            return .certificateAdded(
                .init(fingerprint: fingerprint, pem: pem), countsAt: try ledger.basis(certificate: fingerprint, statement, at: time).countsAt,
                statement)
        case .certificateEndorsed(let fingerprint, let json):
            return .certificateEndorsed(fingerprint: fingerprint, try RegistrationStatement(json: json))
        case .certificateArchived(let fingerprint): return .certificateArchived(fingerprint: fingerprint)
        case .connectorKeyEnrolled(let fingerprint): return .connectorKeyEnrolled(fingerprint: fingerprint)
        case .connectorKeyRevoked(let fingerprint): return .connectorKeyRevoked(fingerprint: fingerprint)
        case .ownerKeySet(let key, let json):
            let statement = try statement(json)
            let fingerprint = Hexadecimal.text(SHA256.hash(data: key))
            return .ownerKeySet(key: key, countsAt: try ledger.basis(ownerKey: fingerprint, statement, at: time).countsAt, statement)
        case .modeChanged(let name, let json):
            guard let mode = RegistrationMode(rawValue: name) else { throw .malformed("registration is signed or api") }
            let statement = mode == .signed ? nil : try statement(json)
            return .modeChanged(mode, countsAt: try ledger.basis(mode: mode, statement, at: time).countsAt, statement)
        case .tunnelArchived: return .tunnelArchived
        }
    }

    private static func statement(_ json: JSON?) throws(RegistrationError) -> RegistrationStatement? {
        guard let json else { return nil }
        return try RegistrationStatement(json: json)
    }

    package func standing(_ log: [[UInt8]], tunnelID: String, at time: Timestamp) throws(APIError) -> RegistrationStanding {
        let (ledger, now) = (try Self.ledger(log, tunnelID), time.seconds)
        var countsAt: [String: Timestamp] = [:]
        for authority in ledger.authorities where authority.archivedAt == nil {
            countsAt[authority.fingerprint] = Timestamp(seconds: authority.countsAt)
        }
        let waiting = ledger.ownerKeys.last.flatMap { $0.countsAt > now ? $0 : nil }
        return RegistrationStanding(
            mode: ledger.mode(at: now).rawValue,
            pendingMode: ledger.pendingMode(at: now).map { ($0.mode.rawValue, Timestamp(seconds: $0.countsAt)) }, countsAt: countsAt,
            ownerKey: ledger.ownerKey(at: now)?.fingerprint,
            pendingOwnerKey: waiting.map { ($0.fingerprint, Timestamp(seconds: $0.countsAt)) })
    }

    package func answer(
        _ log: [[UInt8]], tunnelID: String, workspaceID: String, since: Int, at time: Timestamp
    ) throws(APIError) -> JSON {
        do {
            return try RegistrationAnswer(
                log: log, tunnelID: tunnelID, since: since, time: time.seconds, key: try logKey(workspaceID: workspaceID)
            ).json
        } catch {
            throw .internalError
        }
    }

    /// A private key on P-256 is a number below the curve's order: all but one in 2^32 of the derived texts are, and the counter finds the next.
    private func logKey(workspaceID: String) throws -> P256.Signing.PrivateKey {
        for counter in 0..<16 {
            let bytes = HKDF<SHA256>.deriveKey(inputKeyMaterial: key.logs, info: Array("\(workspaceID) \(counter)".utf8), outputByteCount: 32)
            if let key = bytes.withUnsafeBytes({ try? P256.Signing.PrivateKey(rawRepresentation: $0) }) { return key }
        }
        throw APIError.internalError
    }

    private static func ledger(_ log: [[UInt8]], _ tunnelID: String) throws(APIError) -> RegistrationLedger {
        do throws(RegistrationError) {
            return try RegistrationLedger(tunnelID: tunnelID, log)
        } catch {
            throw APIError(
                500, .api, "The log of the registrations of tunnel \(tunnelID) is damaged: \(error). Restore a backup of the database.",
                shouldRetry: false)
        }
    }
}

extension RegistrationChange {
    /// Takes something away, which is always possible.
    fileprivate var isTaking: Bool {
        switch self {
        case .certificateArchived, .connectorKeyRevoked, .tunnelArchived: true
        case .modeChanged(let mode, _): mode == RegistrationMode.signed.rawValue
        default: false
        }
    }

    fileprivate var isOfTheLogAlone: Bool {
        switch self {
        case .certificateEndorsed, .ownerKeySet, .modeChanged: true
        default: false
        }
    }
}

extension RegistrationError {
    /// A word for clients.
    fileprivate var code: String {
        switch self {
        case .statementPurpose, .statementTime, .statementUsed, .statementSigner, .statementSignature: "registration_statement_refused"
        case .malformed: "registration_statement_malformed"
        default: "registration_refused"
        }
    }
}

extension Timestamp {
    /// Since 1970, rounded down.
    fileprivate var seconds: Int { Int(microseconds / 1_000_000) }
    fileprivate init(seconds: Int) { self.init(microseconds: Int64(seconds) * 1_000_000) }
}
