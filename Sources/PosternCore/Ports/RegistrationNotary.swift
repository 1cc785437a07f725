import ManagedAgentsAPI
import PosternJSON

/// A change of what is registered for a tunnel, before it is an entry of the log.
package enum RegistrationChange: Sendable {
    /// - `statement`: as it was sent; `nil` where nobody has signed for it.
    case certificateAdded(fingerprint: String, pem: String, statement: JSON?)
    case certificateEndorsed(fingerprint: String, statement: JSON)
    case certificateArchived(fingerprint: String)
    case connectorKeyEnrolled(fingerprint: String)
    case connectorKeyRevoked(fingerprint: String)
    /// - `key`: SubjectPublicKeyInfo in DER.
    case ownerKeySet(key: [UInt8], statement: JSON?)
    /// - `mode`: `signed` or `api`.
    case modeChanged(mode: String, statement: JSON?)
    case tunnelArchived
}

/// What a tunnel's log comes to at a time.
package struct RegistrationStanding: Sendable, Equatable {
    /// `signed` or `api`.
    package var mode: String
    /// A loosening that waits, and when it counts.
    package var pendingMode: (mode: String, countsAt: Timestamp)?
    /// From when on an authority that is not archived counts, by fingerprint.
    package var countsAt: [String: Timestamp]
    /// Of the owner's key; `nil` where none counts.
    package var ownerKey: String?
    /// An owner key that waits, and when it counts.
    package var pendingOwnerKey: (fingerprint: String, countsAt: Timestamp)?

    package init(
        mode: String, pendingMode: (mode: String, countsAt: Timestamp)?, countsAt: [String: Timestamp], ownerKey: String?,
        pendingOwnerKey: (fingerprint: String, countsAt: Timestamp)?
    ) {
        self.mode = mode
        self.pendingMode = pendingMode
        self.countsAt = countsAt
        self.ownerKey = ownerKey
        self.pendingOwnerKey = pendingOwnerKey
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.mode == right.mode && left.countsAt == right.countsAt && left.ownerKey == right.ownerKey
            && left.pendingMode?.mode == right.pendingMode?.mode && left.pendingMode?.countsAt == right.pendingMode?.countsAt
            && left.pendingOwnerKey?.fingerprint == right.pendingOwnerKey?.fingerprint
            && left.pendingOwnerKey?.countsAt == right.pendingOwnerKey?.countsAt
    }
}

/// Writes the logs of registrations and signs their heads: cryptography, which this target does not link. A log is the bytes of its entries.
package protocol RegistrationNotary: Sendable {
    /// The first entry of a log: the tunnel, with what counts for it already.
    func begin(_ tunnel: TunnelRecord, mode: String, certificates: [TunnelCertificateRecord], connectorKeys: [String], at time: Timestamp) -> [UInt8]
    /// The next entry of a log.
    /// - Throws: 400 where a statement does not hold or the log is full; 500 where the log itself cannot be read.
    func entry(_ change: RegistrationChange, after log: [[UInt8]], tunnelID: String, at time: Timestamp) throws(APIError) -> [UInt8]
    /// - Throws: 500 where the log cannot be read.
    func standing(_ log: [[UInt8]], tunnelID: String, at time: Timestamp) throws(APIError) -> RegistrationStanding
    /// The signed head now, with the proof that it extends the log of `since` entries, and the entries after those: for whoever watches the log.
    func answer(_ log: [[UInt8]], tunnelID: String, workspaceID: String, since: Int, at time: Timestamp) throws(APIError) -> JSON
}

/// One entry that a change appends to a tunnel's log, in the change's transaction.
package struct RegistrationAppend: Sendable, Equatable {
    /// How many entries the log has before it.
    package var position: Int
    package var entry: [UInt8]

    package init(position: Int, entry: [UInt8]) {
        self.position = position
        self.entry = entry
    }
}
