/// A registration that came, for whoever reads the connector's log.
package struct RegistrationNews: Hashable, Sendable {
    /// The entry's type.
    package var type: String
    /// Fingerprint or mode; empty where there is none.
    package var subject: String
    package var at: Int
    /// Seconds since 1970; `nil` for what counts by itself.
    package var countsAt: Int?
    /// Whether somebody has signed for it.
    package var isSigned: Bool

    init(_ entry: RegistrationEntry, _ ledger: RegistrationLedger) {
        (type, at, subject, isSigned) = (entry.kind.name, entry.at, "", false)
        switch entry.kind {
        case .tunnel(let mode, _, _): subject = mode.rawValue
        case .certificateAdded(let authority, let time, let statement):
            (subject, countsAt, isSigned) = (authority.fingerprint, time, statement != nil)
        case .certificateEndorsed(let fingerprint, _): (subject, isSigned) = (fingerprint, true)
        case .certificateArchived(let fingerprint), .connectorKeyEnrolled(let fingerprint), .connectorKeyRevoked(let fingerprint):
            subject = fingerprint
        case .ownerKeySet(_, let time, let statement):
            (subject, countsAt, isSigned) = (ledger.ownerKeys.last?.fingerprint ?? "", time, statement != nil)
        case .modeChanged(let mode, let time, let statement): (subject, countsAt, isSigned) = (mode.rawValue, time, statement != nil)
        case .tunnelArchived: break
        }
    }
}
