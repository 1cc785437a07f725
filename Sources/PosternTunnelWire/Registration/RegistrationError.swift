/// Why an entry, a statement or a head of a tunnel's registrations does not count.
package enum RegistrationError: Error, Sendable, Hashable, CustomStringConvertible {
    // MARK: Forms

    /// Bytes that are no entry, statement or head, or not in the one spelling of RFC 8785.
    case malformed(String)
    case otherTunnel(String)

    // MARK: Entries against what was before

    case notFirst
    case alreadyBegun
    case backwards
    case archived
    case unknownCertificate(String)
    case knownCertificate(String)
    case unknownKey(String)
    case knownKey(String)
    /// It says that it counts from another time than the rules give it.
    case countsAt(said: Int, rule: Int)
    /// It was said to be made before a head that does not hold it.
    case backdated(Int)
    case tooMany

    // MARK: Statements

    case statementPurpose
    case statementTime(Int)
    case statementUsed
    /// Signed with a key of neither an authority that counts nor the owner.
    case statementSigner(String)
    case statementSignature

    // MARK: Heads

    case logKey(String)
    case headSignature
    case fromTheFuture(Int)
    case entriesAreNotTheHeads

    package var description: String {
        switch self {
        case .malformed(let what): what
        case .otherTunnel(let id): "it is of the tunnel \(id.prefix(80)), not of this one"
        case .notFirst: "the log does not begin with the tunnel"
        case .alreadyBegun: "the log begins a second time"
        case .backwards: "an entry is older than the one before it"
        case .archived: "something is registered after the tunnel was archived"
        case .unknownCertificate(let id): "no authority \(id.prefix(80)) is registered and not archived"
        case .knownCertificate(let id): "the authority \(id.prefix(80)) is registered already"
        case .unknownKey(let id): "the connector key \(id.prefix(80)) is not enrolled"
        case .knownKey(let id): "the connector key \(id.prefix(80)) is enrolled already"
        case .countsAt(let said, let rule): "an entry says that it counts from \(said), and by the rules it counts from \(rule)"
        case .backdated(let time): "an entry claims to be of \(time), before a signed head that does not hold it"
        case .tooMany: "the log has more than \(RegistrationLedger.mostEntries) entries"
        case .statementPurpose: "the statement is for something else than this registration: sign one for exactly this tunnel and this fingerprint"
        case .statementTime(let days):
            "the statement was signed more than \(days) days before it was sent, or in the future: sign it again, and compare the clocks"
        case .statementUsed: "the statement was used before: sign another one"
        case .statementSigner(let key):
            "the statement is signed with the key \(key.prefix(80)), which is neither of an authority of the tunnel that counts now nor its owner key"
        case .statementSignature: "the statement's signature is not of the key that it names"
        case .logKey(let key): "the head is signed with the log key \(key.prefix(80)), which is not the pinned one"
        case .headSignature: "the head's signature is not of the log key"
        case .fromTheFuture(let seconds): "the head is \(seconds) s ahead of this machine's clock: compare the clocks"
        case .entriesAreNotTheHeads: "the entries are not the ones that the head stands for"
        }
    }
}
