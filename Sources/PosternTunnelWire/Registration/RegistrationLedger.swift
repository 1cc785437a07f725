import Crypto
import SwiftASN1
import X509

/// What the entries of a tunnel's log come to, folded in their order. The control plane decides by it what a new registration is worth, and a
/// connector holds the control plane to the same rules: an entry that does not follow from those before it is refused.
package struct RegistrationLedger: Sendable {
    /// An authority, from its registration on. One that comes back after it was archived is another.
    package struct Authority: Sendable {
        package let fingerprint: String
        package let key: Certificate.PublicKey
        package let keyFingerprint: String
        package let at: Int
        package var countsAt: Int
        package var archivedAt: Int?
        package var basis: Basis

        package func counts(at time: Int) -> Bool { archivedAt == nil && countsAt <= time }
    }

    package struct OwnerKey: Sendable {
        package let fingerprint: String
        package let key: Certificate.PublicKey
        package let at: Int
        package let countsAt: Int
        package let basis: Basis
    }

    package struct ModeChange: Sendable {
        package let mode: RegistrationMode
        package let at: Int
        package let countsAt: Int
        package let basis: Basis
    }

    /// Why something counts when it does.
    package indirect enum Basis: Hashable, Sendable {
        /// It was there before the log.
        case imported
        /// The tunnel had none before.
        case first
        /// Somebody who counted has signed for it; the fingerprint of that key.
        case statement(key: String)
        /// `registration: api`, and why that counted: `imported` where the tunnel was created with it. A copy, since changes that wait can be taken away.
        case open(mode: Basis)
        /// It takes nothing from anybody.
        case narrowing
        /// Nobody has signed for it, so it waits.
        case wait
    }

    /// Seconds for which what nobody has signed for waits.
    package static let wait = 86_400
    /// Entries of one log: more are not read.
    package static let mostEntries = 1000
    /// Of statements, in seconds: clocks differ.
    private static let skew = 300

    package let tunnelID: String
    package private(set) var size = 0
    package private(set) var lastAt = 0
    /// In the order of their registration, archived ones included.
    package private(set) var authorities: [Authority] = []
    package private(set) var ownerKeys: [OwnerKey] = []
    package private(set) var modes: [ModeChange] = []
    /// Fingerprints of keys that are enrolled and not revoked.
    package private(set) var connectorKeys: Set<String> = []
    package private(set) var isArchived = false
    private var usedStatements: Set<[UInt8]> = []

    package init(tunnelID: String) { self.tunnelID = tunnelID }

    /// Folds a whole log.
    package init(tunnelID: String, _ entries: some Sequence<[UInt8]>) throws(RegistrationError) {
        self.init(tunnelID: tunnelID)
        for bytes in entries { try apply(try RegistrationEntry(bytes)) }
    }

    // MARK: Now

    package func mode(at time: Int) -> RegistrationMode { change(at: time)?.mode ?? .signed }

    private func change(at time: Int) -> ModeChange? { modes.last { $0.countsAt <= time } }

    /// The loosening that waits, if there is one.
    package func pendingMode(at time: Int) -> ModeChange? { modes.last.flatMap { $0.countsAt > time ? $0 : nil } }

    /// The key that speaks for the owner: the last that was set, of those that count.
    package func ownerKey(at time: Int) -> OwnerKey? { ownerKeys.last { $0.countsAt <= time } }

    package func authority(_ fingerprint: String) -> Authority? { authorities.last { $0.fingerprint == fingerprint && $0.archivedAt == nil } }

    // MARK: The rules

    /// From when on an authority counts that is registered at `time`, and why.
    package func basis(
        certificate fingerprint: String, _ statement: RegistrationStatement?, at time: Int
    ) throws(RegistrationError) -> (countsAt: Int, basis: Basis) {
        if let statement { return (time, .statement(key: try check(statement, .certificate, fingerprint, at: time))) }
        return authorities.isEmpty ? (time, .first) : waiting(at: time)
    }

    /// The same of an owner key. The first one counts at once as long as there is no authority that could speak for it.
    package func basis(
        ownerKey fingerprint: String, _ statement: RegistrationStatement?, at time: Int
    ) throws(RegistrationError) -> (countsAt: Int, basis: Basis) {
        if let statement { return (time, .statement(key: try check(statement, .ownerKey, fingerprint, at: time))) }
        return ownerKeys.isEmpty && authorities.isEmpty ? (time, .first) : waiting(at: time)
    }

    /// The same of a change of the mode. What narrows counts at once.
    package func basis(
        mode: RegistrationMode, _ statement: RegistrationStatement?, at time: Int
    ) throws(RegistrationError) -> (countsAt: Int, basis: Basis) {
        if mode == .signed { return (time, .narrowing) }
        if let statement { return (time, .statement(key: try check(statement, .registration, mode.rawValue, at: time))) }
        return (time + Self.wait, .wait)
    }

    private func waiting(at time: Int) -> (countsAt: Int, basis: Basis) {
        guard let change = change(at: time), change.mode == .api else { return (time + Self.wait, .wait) }
        return (time, .open(mode: change.basis))
    }

    /// The key that has signed the statement, where that counts at `time`.
    private func check(
        _ statement: RegistrationStatement, _ purpose: RegistrationStatement.Purpose, _ subject: String, at time: Int
    ) throws(RegistrationError) -> String {
        guard statement.tunnelID == tunnelID, statement.purpose == purpose, statement.subject == subject else { throw .statementPurpose }
        let age = time - statement.time
        guard (-Self.skew...RegistrationStatement.life * 86_400).contains(age) else { throw .statementTime(RegistrationStatement.life) }
        guard !usedStatements.contains(statement.identity) else { throw .statementUsed }
        var keys = authorities.filter { $0.counts(at: time) }.map(\.key)
        if let owner = ownerKey(at: time) { keys.append(owner.key) }
        guard let signer = keys.first(where: { KeyFingerprint.of($0) == statement.key }) else { throw .statementSigner(statement.key) }
        guard statement.isSigned(by: signer) else { throw .statementSignature }
        return statement.key
    }

    // MARK: Folding

    package mutating func apply(_ entry: RegistrationEntry) throws(RegistrationError) {
        guard entry.tunnelID == tunnelID else { throw .otherTunnel(entry.tunnelID) }
        guard entry.at >= lastAt else { throw .backwards }
        guard !isArchived else { throw .archived }
        guard size < Self.mostEntries else { throw .tooMany }
        if case .tunnel = entry.kind { guard size == 0 else { throw .alreadyBegun } } else { guard size > 0 else { throw .notFirst } }
        try take(entry.kind, at: entry.at)
        (size, lastAt) = (size + 1, entry.at)
    }

    private mutating func take(_ kind: RegistrationEntry.Kind, at time: Int) throws(RegistrationError) {
        switch kind {
        case .tunnel(let mode, let certificates, let keys):
            for certificate in certificates { try add(certificate, at: time, (time, .imported)) }
            connectorKeys = Set(keys)
            modes = [ModeChange(mode: mode, at: time, countsAt: time, basis: .imported)]
        case .certificateAdded(let certificate, let countsAt, let statement):
            guard authority(certificate.fingerprint) == nil else { throw .knownCertificate(certificate.fingerprint) }
            let rule = try Self.same(countsAt, try basis(certificate: certificate.fingerprint, statement, at: time))
            try add(certificate, at: time, rule)
            use(statement)
        case .certificateEndorsed(let fingerprint, let statement):
            guard let index = liveIndex(fingerprint) else { throw .unknownCertificate(fingerprint) }
            let rule = try basis(certificate: fingerprint, statement, at: time)
            authorities[index].countsAt = min(authorities[index].countsAt, rule.countsAt)
            authorities[index].basis = rule.basis
            use(statement)
        case .certificateArchived(let fingerprint):
            guard let index = liveIndex(fingerprint) else { throw .unknownCertificate(fingerprint) }
            authorities[index].archivedAt = time
        case .connectorKeyEnrolled(let fingerprint):
            guard connectorKeys.insert(fingerprint).inserted else { throw .knownKey(fingerprint) }
        case .connectorKeyRevoked(let fingerprint):
            guard connectorKeys.remove(fingerprint) != nil else { throw .unknownKey(fingerprint) }
        case .ownerKeySet(let der, let countsAt, let statement):
            guard let key = try? P256.Signing.PublicKey(derRepresentation: der), Array(key.derRepresentation) == der else {
                throw .malformed("an owner key is an ECDSA key on P-256: a SubjectPublicKeyInfo in DER with an uncompressed point")
            }
            let (publicKey, fingerprint) = (Certificate.PublicKey(key), KeyFingerprint.of(Certificate.PublicKey(key)))
            let rule = try Self.same(countsAt, try basis(ownerKey: fingerprint, statement, at: time))
            ownerKeys.append(OwnerKey(fingerprint: fingerprint, key: publicKey, at: time, countsAt: rule.countsAt, basis: rule.basis))
            use(statement)
        case .modeChanged(let mode, let countsAt, let statement):
            let rule = try Self.same(countsAt, try basis(mode: mode, statement, at: time))
            // Narrowing back takes away a loosening that still waits.
            if mode == .signed { modes.removeAll { $0.countsAt > time } }
            modes.append(ModeChange(mode: mode, at: time, countsAt: rule.countsAt, basis: rule.basis))
            use(statement)
        case .tunnelArchived:
            isArchived = true
            connectorKeys = []
            for index in authorities.indices where authorities[index].archivedAt == nil { authorities[index].archivedAt = time }
        }
    }

    private static func same(_ said: Int, _ rule: (countsAt: Int, basis: Basis)) throws(RegistrationError) -> (countsAt: Int, basis: Basis) {
        guard said == rule.countsAt else { throw .countsAt(said: said, rule: rule.countsAt) }
        return rule
    }

    private func liveIndex(_ fingerprint: String) -> Int? { authorities.lastIndex { $0.fingerprint == fingerprint && $0.archivedAt == nil } }

    private mutating func use(_ statement: RegistrationStatement?) {
        if let statement { usedStatements.insert(statement.identity) }
    }

    private mutating func add(
        _ authority: RegistrationEntry.Authority, at time: Int, _ rule: (countsAt: Int, basis: Basis)
    ) throws(RegistrationError) {
        let unreadable = RegistrationError.malformed(
            "the certificate \(authority.fingerprint.prefix(64)) of the log cannot be read or has another fingerprint")
        guard let der = try? AuthorityRules.onlyCertificate(in: authority.pem), let certificate = try? Certificate(derEncoded: der),
            Hexadecimal.text(SHA256.hash(data: der)) == authority.fingerprint
        else { throw unreadable }
        authorities.append(
            Authority(
                fingerprint: authority.fingerprint, key: certificate.publicKey, keyFingerprint: KeyFingerprint.of(certificate.publicKey), at: time,
                countsAt: rule.countsAt, basis: rule.basis))
    }
}
