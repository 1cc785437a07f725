import Crypto
import PosternJSON

/// Follows a chain line by line and stops at the first thing that is wrong. A value without I/O and of bounded size: it keeps the last
/// line's hash, the key that the next checkpoint must be signed with, and the open intents.
struct ChainFollower: Sendable {
    /// What is wrong, and with which record.
    struct Fault: Error, Sendable, Equatable {
        /// How many lines before the one that was fed the bad one stands: 0 or 1, or more for the first line of a torn tail.
        var linesBack: Int
        var seq: Int?
        var what: String
    }

    private(set) var writer: String?
    private(set) var seq = 0
    private(set) var hash = AuditChain.origin
    /// Hex of the root public key; `nil` where the chain was not followed from its beginning.
    private(set) var rootKey: String?
    /// Public key that the next checkpoint must be signed with; `nil` before the first line.
    private(set) var nextKey: String?
    private(set) var checkpoints = 0
    private(set) var unsigned = 0
    private(set) var open = OpenIntents()
    /// First `seq` of the file that the last line is in.
    private(set) var fileFirst = 0
    /// Lines that are not records. A torn tail's record may follow and account for them.
    private(set) var fragment: Fragment?

    struct Fragment: Sendable {
        var lines = 1
        var bytes: Int
        var hash: SHA256
        var reason: String
    }

    /// - Parameter allowsPartial: the first line may be that of a later file; nothing before it is then known.
    init(allowsPartial: Bool = false) { self.allowsPartial = allowsPartial }
    private let allowsPartial: Bool

    /// Takes one line without its newline; the record if it is one, `nil` if it is not and may be part of a torn tail.
    mutating func follow(_ bytes: [UInt8]) throws(Fault) -> AuditLine? {
        let line: AuditLine
        do throws(AuditLine.Malformed) {
            line = try AuditLine(parsing: bytes)
        } catch {
            noteFragment(bytes, "the line is not a record: \(error)")
            return nil
        }
        // The next line's hash fixes the bytes of this one. A checkpoint may be the last, and its signature is over the canonical form.
        guard line.kind != "checkpoint" || line.json.canonical == bytes else {
            noteFragment(bytes, "the line is not in canonical form")
            return nil
        }
        try place(line)
        try settleFragment(line)
        try take(line)
        seq = line.seq
        hash = Hex.sha256(bytes)
        return line
    }

    // MARK: Place in the chain

    private func place(_ line: AuditLine) throws(Fault) {
        guard let writer else { return try placeFirst(line) }
        let here = fragment == nil ? 0 : fragment?.lines ?? 0
        guard line.seq == seq + 1 else {
            // Something that is no record stands where one was: name that line.
            if let fragment { throw Fault(linesBack: here, seq: seq + 1, what: fragment.reason) }
            if line.seq > seq + 1 {
                let missing = line.seq == seq + 2 ? "record \(seq + 1) is missing" : "records \(seq + 1) to \(line.seq - 1) are missing"
                throw Fault(linesBack: 0, seq: line.seq, what: missing)
            }
            throw Fault(linesBack: 0, seq: line.seq, what: "the record comes after record \(seq): it is repeated, or moved")
        }
        guard line.writer == writer else { throw Fault(linesBack: 0, seq: line.seq, what: "the record's writer is \(line.writer), not \(writer)") }
        guard line.previous == hash else {
            throw Fault(
                linesBack: here + 1, seq: seq, what: "the record does not have the hash that record \(line.seq) names: one of them was changed")
        }
    }

    private func placeFirst(_ line: AuditLine) throws(Fault) {
        if let fragment { throw Fault(linesBack: fragment.lines, seq: nil, what: fragment.reason) }
        if line.kind == "genesis" {
            guard line.seq == 1, line.previous == AuditChain.origin else {
                throw Fault(linesBack: 0, seq: line.seq, what: "a genesis is record 1 and follows nothing")
            }
        } else if !allowsPartial || line.kind != "rotation" {
            throw Fault(linesBack: 0, seq: line.seq, what: "the log begins with record \(line.seq) of kind \(line.kind), not with a genesis")
        }
    }

    // MARK: Torn tails

    private mutating func noteFragment(_ bytes: [UInt8], _ reason: String) {
        if fragment == nil {
            fragment = Fragment(lines: 0, bytes: 0, hash: SHA256(), reason: reason)
        } else {
            fragment?.bytes += 1
            fragment?.hash.update(data: [0x0A])
        }
        fragment?.lines += 1
        fragment?.bytes += bytes.count
        fragment?.hash.update(data: bytes)
    }

    private mutating func settleFragment(_ line: AuditLine) throws(Fault) {
        guard line.kind == "torn_tail" else {
            guard let fragment else { return }
            throw Fault(linesBack: fragment.lines, seq: line.seq, what: fragment.reason)
        }
        guard let fragment, line.body["bytes"]?.int == fragment.bytes, line.body["sha256"]?.string == Hex.encode(fragment.hash.finalize()) else {
            throw Fault(linesBack: 0, seq: line.seq, what: "the torn bytes that the record names do not stand before it")
        }
        self.fragment = nil
    }

    // MARK: What records say of the chain

    private mutating func take(_ line: AuditLine) throws(Fault) {
        unsigned += 1
        switch line.kind {
        case "genesis":
            guard seq == 0, let root = line.body["root_key"]?.string, line.writer == AuditChain.writer(rootKey: root) else {
                throw Fault(linesBack: 0, seq: line.seq, what: "the genesis does not name the root key of its writer, or is not the first record")
            }
            (writer, rootKey, nextKey, fileFirst) = (line.writer, root, root, line.seq)
        case "rotation": try takeRotation(line)
        case "checkpoint": try takeCheckpoint(line)
        case "intent": open.open(.init(kind: .tool, session: line.session, id: line.call, seq: line.seq))
        case "egress_intent": open.open(.init(kind: .egress, session: line.session, id: line.body["id"]?.string ?? "", seq: line.seq))
        case "tunnel_intent": open.open(.init(kind: .tunnel, session: line.session, id: line.body["id"]?.string ?? "", seq: line.seq))
        case "tunnel_outcome": open.close(.tunnel, session: line.session, id: line.body["id"]?.string ?? "")
        case "outcome": open.close(.tool, session: line.session, id: line.call)
        case "egress_outcome": open.close(.egress, session: line.session, id: line.body["id"]?.string ?? "")
        case "unknown": if let intent = AuditLine.openIntent(line.body) { open.close(intent.kind, session: intent.session, id: intent.id) }
        default: break
        }
    }

    private mutating func takeRotation(_ line: AuditLine) throws(Fault) {
        guard let key = line.body["key"]?.string, let count = line.body["checkpoints"]?.int,
            let intents = line.body["open"]?.array?.map({ $0.object.flatMap(AuditLine.openIntent) }), !intents.contains(nil)
        else { throw Fault(linesBack: 0, seq: line.seq, what: "the rotation lacks one of key, checkpoints and open") }
        if writer == nil {
            (writer, nextKey, checkpoints) = (line.writer, key, count)
            for case let intent? in intents { open.open(intent) }
        } else if key != nextKey || count != checkpoints || line.body["previous_first"]?.int != fileFirst || intents != open.all {
            throw Fault(linesBack: 0, seq: line.seq, what: "the rotation does not agree with the file before it")
        }
        fileFirst = line.seq
    }

    private mutating func takeCheckpoint(_ line: AuditLine) throws(Fault) {
        guard let number = line.body["number"]?.int, let key = line.body["key"]?.string, let next = line.body["next"]?.string,
            let signature = line.body["signature"]?.string
        else { throw Fault(linesBack: 0, seq: line.seq, what: "the checkpoint lacks one of number, key, next and signature") }
        guard number == checkpoints + 1 else {
            throw Fault(linesBack: 0, seq: line.seq, what: "the checkpoint has number \(number) and not \(checkpoints + 1)")
        }
        guard key == nextKey else {
            throw Fault(linesBack: 0, seq: line.seq, what: "the checkpoint is not signed with the key that the one before names")
        }
        guard SigningKeys.isValid(signature, of: line.signedBytes, by: key) else {
            throw Fault(linesBack: 0, seq: line.seq, what: "the checkpoint's signature does not match")
        }
        (nextKey, checkpoints, unsigned) = (next, number, 0)
    }
}
