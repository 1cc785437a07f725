import Crypto
import PosternJSON
import X509

/// What a connector makes of a tunnel's log, head by head: it keeps what it has seen and refuses calls once the control plane says something else, or
/// lets somebody in whom nobody here knows. A value without clock and without I/O.
package struct RegistrationWatch: Sendable {
    /// What the connector knows by itself.
    package struct Pins: Sendable {
        package var tunnelID: String
        package var logKey: P256.Signing.PublicKey
        /// The connector's own server certificate: whose authority is known.
        package var server: Certificate?
        /// Fingerprint of the owner key.
        package var ownerKey: String?
        /// Of this connector's key.
        package var connectorKey: String
        /// Of the other connectors' keys; `nil` where any may come.
        package var knownKeys: Set<String>?
        /// Seconds after a head was signed from which calls are refused for want of a newer one; 0 for never.
        package var staleAfter: Int

        package init(
            tunnelID: String, logKey: P256.Signing.PublicKey, server: Certificate?, ownerKey: String?, connectorKey: String, knownKeys: Set<String>?,
            staleAfter: Int
        ) {
            self.tunnelID = tunnelID
            self.logKey = logKey
            self.server = server
            self.ownerKey = ownerKey
            self.connectorKey = connectorKey
            self.knownKeys = knownKeys
            self.staleAfter = staleAfter
        }
    }

    /// What stays wrong until the operator accepts it, with the head that proves it.
    package struct Alarm: Hashable, Sendable {
        package var kind: Kind
        package var message: String
        package var head: RegistrationHead

        package enum Kind: String, Hashable, Sendable { case fork, rules }
    }

    package enum Outcome: Hashable, Sendable {
        /// The log is as it was, or has grown by what is told.
        case accepted(news: [RegistrationNews])
        /// A head older than the one that is known: somebody repeats what was said before. Nothing has changed.
        case old
        /// The proof or the entries do not fit. Either somebody on the way has changed them or the log was forked: the whole log tells, so ask with 0.
        case needsWhole
        case alarm(Alarm)
    }

    package let pins: Pins
    package private(set) var head: RegistrationHead?
    /// Of the head; fewer where the head was accepted by the operator and the entries are still to come.
    package private(set) var entries: [[UInt8]] = []
    package private(set) var ledger: RegistrationLedger
    private var servers = ShownServers()
    package private(set) var alarm: Alarm?
    /// What the operator has accepted: fingerprints, roots, `api`.
    package private(set) var accepted: Set<String> = []
    /// What `doubt` was told after the last answer that counted.
    package private(set) var unproven: RegistrationError?
    /// Seconds since 1970: when the connector began to watch, for a log of which it never saw a head.
    package let began: Int

    /// How far the clocks of control plane and connector may be apart, seconds.
    package static let skew = 300

    package init(_ pins: Pins, began: Int) {
        self.pins = pins
        self.began = began
        ledger = RegistrationLedger(tunnelID: pins.tunnelID)
        if let server = pins.server { know(server) }
    }

    /// What to ask for: the entries after so many.
    package var since: Int { head.map { $0.size == entries.count ? $0.size : 0 } ?? 0 }

    // MARK: Heads

    /// Takes an answer. Throws where the head is not the log's or the entries are not the head's, which anybody on the way can bring about: nothing has
    /// changed then. Where no other edge gives a good answer either, `doubt` is told.
    package mutating func take(_ answer: RegistrationAnswer, now: Int) throws(RegistrationError) -> Outcome {
        let outcome = try judge(answer, now: now)
        // An old head says nothing, and what does not fit proves nothing.
        if outcome != .needsWhole, outcome != .old { unproven = nil }
        return outcome
    }

    /// Refuses calls until an answer counts: nobody who was asked had one, and somebody's did not fit.
    package mutating func doubt(_ error: RegistrationError) { unproven = error }

    private mutating func judge(_ answer: RegistrationAnswer, now: Int) throws(RegistrationError) -> Outcome {
        let new = answer.head
        try new.verify(tunnelID: pins.tunnelID, by: pins.logKey)
        guard new.time <= now + Self.skew else { throw .fromTheFuture(new.time - now) }
        guard new.size <= RegistrationLedger.mostEntries else { throw .tooMany }
        if let known = head {
            if new.size == known.size, new.root != known.root {
                return raise(.fork, "two heads of \(new.size) registrations differ: the log was forked", new)
            }
            if new.size < known.size {
                guard new.time > known.time else { return .old }
                return raise(.fork, "the log has \(new.size) registrations and had \(known.size): it was rolled back", new)
            }
            if new.size == known.size, entries.count == known.size {
                guard new.time >= known.time else { return .old }
                head = new
                return .accepted(news: [])
            }
        }
        return answer.since == 0 ? try takeWhole(answer) : try takeMore(answer)
    }

    /// The entries after those that are known.
    private mutating func takeMore(_ answer: RegistrationAnswer) throws(RegistrationError) -> Outcome {
        guard let known = head, answer.since == known.size, entries.count == known.size else { return .needsWhole }
        let all = entries + answer.entries
        guard
            MerkleTree.extends(
                first: known.size, firstRoot: known.root, second: answer.head.size, secondRoot: answer.head.root, proof: answer.consistency),
            all.count == answer.head.size, Self.root(all[...]) == answer.head.root
        else { return .needsWhole }
        return try fold(all, answer.head)
    }

    private mutating func takeWhole(_ answer: RegistrationAnswer) throws(RegistrationError) -> Outcome {
        let all = answer.entries
        guard all.count == answer.head.size, Self.root(all[...]) == answer.head.root else { throw .entriesAreNotTheHeads }
        // From here on the entries are the control plane's own word.
        if let known = head, Self.root(all.prefix(known.size)) != known.root {
            return raise(.fork, "the log does not begin with the \(known.size) registrations that were seen before: it was forked", answer.head)
        }
        return try fold(all, answer.head)
    }

    private static func root(_ entries: ArraySlice<[UInt8]>) -> MerkleTree.Hash { MerkleTree.root(entries.map { MerkleTree.leaf($0) }) }

    private mutating func fold(_ all: [[UInt8]], _ new: RegistrationHead) throws(RegistrationError) -> Outcome {
        let from = entries.count
        var ledger = from == 0 ? RegistrationLedger(tunnelID: pins.tunnelID) : ledger
        var news: [RegistrationNews] = []
        do throws(RegistrationError) {
            for bytes in all.dropFirst(from) {
                let entry = try RegistrationEntry(bytes)
                // A head that was signed after that time would have held it.
                if let head, from == head.size, entry.at < head.time - Self.skew { throw .backdated(entry.at) }
                try ledger.apply(entry)
                news.append(RegistrationNews(entry, ledger))
            }
        } catch {
            return raise(.rules, "the log breaks its rules: \(error)", new)
        }
        (head, entries, self.ledger) = (new, all, ledger)
        servers.find(in: ledger)
        return .accepted(news: news)
    }

    /// The connector shows this certificate from now on: whose authority is known, as that of the one before stays. Calls may still run on that.
    package mutating func know(_ server: Certificate) { servers.add(server, ledger) }

    /// Why no call is let through that stands on this server certificate; `nil` where calls are.
    /// - Parameter fingerprint: as `ShownServers.fingerprint(of:)` gives it.
    package func refusal(ofServer fingerprint: String) -> RegistrationRefusal? {
        guard servers.isArchived(fingerprint, ledger) else { return nil }
        return RegistrationRefusal(
            .authorityArchived,
            "the authority that has signed the connector's certificate was archived, so callers believe it no more: give the connector a certificate "
                + "of one that counts")
    }

    private mutating func raise(_ kind: Alarm.Kind, _ message: String, _ head: RegistrationHead) -> Outcome {
        let alarm = Alarm(kind: kind, message: message, head: head)
        self.alarm = self.alarm ?? alarm
        return .alarm(alarm)
    }

    // MARK: The operator's word

    /// Takes what the operator accepts. The root of the head that an alarm is about ends the alarm: the log goes on from that head.
    package mutating func accept(_ words: Set<String>) {
        accepted = words
        // What breaks the rules would break them again.
        guard let alarm, alarm.kind == .fork, words.contains(Hexadecimal.text(alarm.head.root)) else { return }
        (head, entries, ledger, self.alarm) = (alarm.head, [], RegistrationLedger(tunnelID: pins.tunnelID), nil)
    }

    // MARK: Calls

    /// Why no call is let through now; `nil` where calls are.
    package func refusal(now: Int) -> RegistrationRefusal? {
        if let alarm { return RegistrationRefusal(alarm.kind == .fork ? .fork : .rules, alarm.message) }
        if let head, entries.count != head.size {
            return RegistrationRefusal(.unproven, "the registrations of the head that was accepted have not come yet")
        }
        if let unproven { return RegistrationRefusal(.unproven, "the log of the tunnel's registrations cannot be verified: \(unproven)") }
        let last = head?.time ?? began
        if pins.staleAfter > 0, now - last > pins.staleAfter {
            return RegistrationRefusal(
                .stale, "no head of the tunnel's registrations was seen for \((now - last) / 60) minutes: somebody keeps them back")
        }
        let unknown = unknownAuthorities(at: now)
        if !unknown.isEmpty {
            let names = unknown.map(\.fingerprint).joined(separator: ", ")
            return RegistrationRefusal(.unknownAuthority, "callers believe an authority that nobody here has signed for: \(names)")
        }
        let foreign = foreignKeys
        if pins.knownKeys != nil, !foreign.isEmpty {
            return RegistrationRefusal(
                .unknownConnectorKey, "a connector key is enrolled that identity.known_keys does not name: \(foreign.joined(separator: ", "))")
        }
        return nil
    }

    package func unknownAuthorities(at now: Int) -> [RegistrationLedger.Authority] {
        var roots = accepted.union(servers.authorities)
        if let owner = pins.ownerKey { roots.insert(owner) }
        return RegistrationTrust(roots: roots).unknown(in: ledger, at: now)
    }

    /// Keys of other connectors that are enrolled and not pinned, sorted.
    package var foreignKeys: [String] { ledger.connectorKeys.subtracting(pins.knownKeys ?? []).subtracting([pins.connectorKey]).sorted() }

    // MARK: Keeping it

    /// What is to be kept between runs.
    package var json: JSON {
        var object: JSONObject = ["type": "registration_watch", "tunnel": .string(pins.tunnelID), "began": JSON(began)]
        if let head { object["head"] = head.json }
        object["entries"] = .array(entries.map { .string(String(decoding: $0, as: UTF8.self)) })
        if let alarm { object["alarm"] = ["kind": .string(alarm.kind.rawValue), "message": .string(alarm.message), "head": alarm.head.json] }
        return .object(object)
    }

    /// Takes up what was kept; throws where that is not what this connector can have written.
    package init(_ pins: Pins, json: JSON) throws(RegistrationError) {
        guard let object = json.object, object["type"]?.string == "registration_watch", let began = object["began"]?.int,
            let texts = object["entries"]?.array
        else { throw .malformed("what was kept of the log cannot be read") }
        guard object["tunnel"]?.string == pins.tunnelID else { throw .otherTunnel(object["tunnel"]?.string ?? "") }
        self.init(pins, began: began)
        if let json = object["head"] {
            let head = try RegistrationHead(json: json)
            try head.verify(tunnelID: pins.tunnelID, by: pins.logKey)
            self.head = head
            entries = texts.compactMap(\.string).map { Array($0.utf8) }
            guard entries.isEmpty || entries.count == head.size && Self.root(entries[...]) == head.root else { throw .entriesAreNotTheHeads }
            ledger = try RegistrationLedger(tunnelID: pins.tunnelID, entries)
            servers.find(in: ledger)
        }
        if let json = object["alarm"], let name = json["kind"]?.string, let kind = Alarm.Kind(rawValue: name), let head = json["head"] {
            alarm = Alarm(kind: kind, message: json["message"]?.string ?? "", head: try RegistrationHead(json: head))
        }
    }
}
