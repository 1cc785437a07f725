import Crypto
import Foundation
import PosternJSON
import PosternTunnelWire
import Testing
import X509

@Suite("Watching the log of registrations")
struct RegistrationWatchTests {
    private typealias Log = RegistrationLogBuilder
    private static let day = RegistrationLedger.wait

    /// An honest log with one authority, and a connector that has seen it.
    private func seen(
        knownKeys: Set<String>? = nil, ownerKey: String? = nil, staleAfter: Int = 86_400
    ) throws -> (log: Log, watch: RegistrationWatch, own: Log.Authority) {
        let own = try Log.Authority()
        var log = Log()
        log.begin()
        log.add(own, at: 1)
        log.append(.connectorKeyEnrolled(fingerprint: "own"), at: 2)
        var watch = log.watch(server: try own.server(), ownerKey: ownerKey, knownKeys: knownKeys, staleAfter: staleAfter)
        guard case .accepted = try watch.ask(log, at: 10) else { throw CancellationError() }
        #expect(watch.reason(at: 10) == nil)
        return (log, watch, own)
    }

    @Test("an honest log may grow, entry by entry and by many, and is believed")
    func grows() throws {
        var (log, watch, own) = try seen()
        for index in 0..<20 {
            for key in 0...index % 3 { log.append(.connectorKeyEnrolled(fingerprint: "k\(index).\(key)"), at: 20 + index) }
            guard case .accepted(let news) = try watch.ask(log, at: 20 + index) else { return #expect(Bool(false)) }
            #expect(news.count == index % 3 + 1 && watch.head?.size == log.entries.count)
        }
        let next = try Log.Authority()
        log.add(next, at: 50, try own.statement(for: next.fingerprint, at: Log.start + 50))
        _ = try watch.ask(log, at: 51)
        #expect(watch.reason(at: 51) == nil && watch.entries == log.entries)
        // A server certificate of the new authority is as good, and what the old one signed for stays known.
        var other = log.watch(server: try own.server())
        _ = try other.ask(log, at: 51)
        #expect(other.reason(at: 51) == nil)
    }

    @Test("a log that was rolled back, forked or exchanged is noticed, and stays so until the operator accepts that head")
    func forks() throws {
        let (log, watch, own) = try seen()
        let stranger = try Log.Authority()
        var forks: [(String, Log)] = []
        var back = log
        back.entries.removeLast()
        forks.append(("rolled back", back))
        var same = log
        same.entries[2] = RegistrationEntry(tunnelID: Log.tunnel, at: Log.start + 2, .connectorKeyEnrolled(fingerprint: "other")).encoded
        forks.append(("as long", same))
        same.append(.connectorKeyEnrolled(fingerprint: "k1"), at: 5)
        same.append(.connectorKeyEnrolled(fingerprint: "k2"), at: 6)
        forks.append(("longer", same))
        var anew = log
        anew.entries = []
        anew.begin(certificates: [own, stranger])
        for key in 0..<5 { anew.append(.connectorKeyEnrolled(fingerprint: "k\(key)"), at: key) }
        forks.append(("begun anew", anew))
        for (name, fork) in forks {
            var watch = watch
            guard case .alarm(let alarm) = try watch.ask(fork, at: 20) else { return #expect(Bool(false), "\(name)") }
            #expect(alarm.kind == .fork && watch.reason(at: 20) == .fork, "\(name)")
            // The right log again does not make it undone, and a restart does not either.
            _ = try? watch.ask(log, at: 30)
            #expect(watch.reason(at: 30) == .fork, "\(name)")
            watch = try RegistrationWatch(watch.pins, json: JSON(parsing: watch.json.encoded))
            #expect(watch.reason(at: 30) == .fork, "\(name)")
            watch.accept(["something", Hexadecimal.text(try #require(watch.head).root)])
            #expect(watch.reason(at: 30) == .fork, "\(name)")
            watch.accept([Hexadecimal.text(alarm.head.root)])
            #expect(watch.since == 0 && watch.reason(at: 30) == .unproven)
            // The log goes on from that head, and from no other.
            var wrong = watch
            // What was rolled back is extended by what was there before, and by nothing else.
            if name != "rolled back" { guard case .alarm = try wrong.ask(log, at: 40) else { return #expect(Bool(false), "\(name)") } }
            guard case .accepted = try watch.ask(fork, at: 40) else { return #expect(Bool(false), "\(name)") }
            #expect(watch.entries == fork.entries)
        }
    }

    @Test("what the API let in stays known when loosenings that waited beside it are taken away", arguments: [0, 1, 2])
    func cancelledLoosenings(waiting: Int) throws {
        var (log, watch, own) = try seen()
        for second in 0..<waiting { log.append(.modeChanged(.api, countsAt: Log.start + 11 + second + Self.day, nil), at: 11 + second) }
        log.append(.modeChanged(.api, countsAt: Log.start + 15, try own.statement(for: "api", .registration, at: Log.start + 14)), at: 15)
        let next = try Log.Authority()
        log.add(next, at: 16)
        _ = try watch.ask(log, at: 17)
        #expect(watch.reason(at: 17) == nil)
        log.append(.modeChanged(.signed, countsAt: Log.start + 18, nil), at: 18)
        guard case .accepted = try watch.ask(log, at: 19) else { return #expect(Bool(false)) }
        #expect(watch.ledger.authority(next.fingerprint)?.counts(at: Log.start + 19) == true)
        #expect(watch.reason(at: 19) == nil)
        // Who was let in by a loosening that nobody signed for stays unknown.
        log.append(.modeChanged(.api, countsAt: Log.start + 20 + Self.day, nil), at: 20)
        log.add(try Log.Authority(), at: 21 + Self.day)
        log.append(.modeChanged(.signed, countsAt: Log.start + 22 + Self.day, nil), at: 22 + Self.day)
        _ = try watch.ask(log, at: 23 + Self.day)
        #expect(watch.reason(at: 23 + Self.day) == .unknownAuthority)
    }

    @Test(
        "an edge that repeats old heads, changes entries, proofs or heads, or makes its own log, brings nothing about but a refusal that a good answer ends"
    )
    func hostileEdge() throws {
        let (log, watch, _) = try seen()
        var more = log
        more.append(.connectorKeyEnrolled(fingerprint: "k1"), at: 20)
        more.append(.connectorKeyEnrolled(fingerprint: "k2"), at: 21)
        let now = Log.start + 30
        let good = try more.answer(since: 3, at: 30)
        var forged = Log()
        forged.entries = more.entries
        let answers: [(String, RegistrationAnswer)] = try [
            ("another key", more.answer(since: 3, at: 30, by: forged.logKey)), ("another tunnel", more.answer(since: 3, at: 30, tunnel: "tnl_2")),
            ("the future", more.answer(since: 3, at: 30 + 301)),
            ("a root", changed(good) { $0.head.root[4] ^= 1 }), ("a size", changed(good) { $0.head.size += 1 }),
            ("a time", changed(good) { $0.head.time += 1 }),
            ("a signature", changed(good) { $0.head.signature[9] ^= 4 }), ("an entry", changed(good) { $0.entries[0][20] ^= 1 }),
            ("an entry less", changed(good) { $0.entries.removeLast() }), ("an entry more", changed(good) { $0.entries.append($0.entries[0]) }),
            ("no entries", changed(good) { $0.entries = [] }), ("a proof", changed(good) { $0.consistency[0][0] ^= 1 }),
            ("no proof", changed(good) { $0.consistency = [] }), ("another since", changed(good) { $0.since = 2 }),
            ("a whole log that is none", changed(good) { $0.since = 0 }),
        ]
        for (name, answer) in answers {
            var watch = watch
            let outcome = try? watch.take(answer, now: now)
            #expect(outcome == nil || outcome == .needsWhole, "\(name): \(String(describing: outcome))")
            // Another edge may know better.
            #expect(watch.reason(at: 30) == nil && watch.head?.size == 3 && watch.alarm == nil, "\(name)")
            watch.doubt(.entriesAreNotTheHeads)
            #expect(watch.reason(at: 30) == .unproven, "\(name)")
            guard case .accepted = try watch.take(good, now: now) else { return #expect(Bool(false), "\(name)") }
            #expect(watch.reason(at: 30) == nil, "\(name)")
        }
        var old = watch
        _ = try old.take(good, now: now)
        let repeated = try old.take(log.answer(since: 5, at: 12), now: now)
        #expect(repeated == .old && old.reason(at: 30) == nil && old.alarm == nil)
    }

    private func changed(_ answer: RegistrationAnswer, _ change: (inout RegistrationAnswer) -> Void) -> RegistrationAnswer {
        var answer = answer
        change(&answer)
        return answer
    }

    @Test("heads that are kept back, and old ones that are repeated, end calls after the time that is set; never where it is 0")
    func stale() throws {
        let seen3600 = try seen(staleAfter: 3600)
        let log = seen3600.log
        var watch = seen3600.watch
        #expect(watch.reason(at: 3610) == nil && watch.reason(at: 3611) == .stale)
        // A repeated head does not gain time; a new one does.
        _ = try watch.take(log.answer(since: 3, at: 10), now: Log.start + 3611)
        #expect(watch.reason(at: 3611) == .stale)
        _ = try watch.ask(log, at: 3611)
        #expect(watch.reason(at: 3611 + 3600) == nil)
        let never = try seen(staleAfter: 0).watch
        #expect(never.reason(at: 900_000) == nil)
        let blind = Log().watch(server: nil, staleAfter: 60)
        #expect(blind.reason(at: 60) == nil && blind.reason(at: 61) == .stale)
    }

    @Test("an authority that nobody here has signed for is announced while it waits, and refused when it counts")
    func unknownAuthority() throws {
        var (log, watch, own) = try seen()
        let stranger = try Log.Authority()
        log.add(stranger, at: 20, countsAt: 20 + Self.day)
        guard case .accepted(let news) = try watch.ask(log, at: 21) else { return #expect(Bool(false)) }
        #expect(news.first?.subject == stranger.fingerprint && news.first?.countsAt == Log.start + 20 + Self.day && news.first?.isSigned == false)
        _ = try watch.ask(log, at: 20 + Self.day - 1)
        #expect(watch.reason(at: 20 + Self.day - 1) == nil)
        _ = try watch.ask(log, at: 20 + Self.day)
        #expect(watch.reason(at: 20 + Self.day) == .unknownAuthority)
        var accepted = watch
        accepted.accept([stranger.fingerprint])
        #expect(accepted.reason(at: 20 + Self.day) == nil)
        var signed = (log, watch)
        signed.0.append(
            .certificateEndorsed(fingerprint: stranger.fingerprint, try own.statement(for: stranger.fingerprint, at: Log.start + 21 + Self.day)),
            at: 21 + Self.day)
        _ = try signed.1.ask(signed.0, at: 22 + Self.day)
        #expect(signed.1.reason(at: 22 + Self.day) == nil)
        log.append(.certificateArchived(fingerprint: stranger.fingerprint), at: 21 + Self.day)
        _ = try watch.ask(log, at: 22 + Self.day)
        #expect(watch.reason(at: 22 + Self.day) == nil)
    }

    @Test("who was first is not known for that, nor whom such a one has signed for")
    func firstStranger() throws {
        let (stranger, own) = (try Log.Authority(), try Log.Authority())
        var log = Log()
        log.begin()
        log.add(stranger, at: 1)
        log.add(own, at: 2, try stranger.statement(for: own.fingerprint, at: Log.start + 2))
        var watch = log.watch(server: try own.server())
        _ = try watch.ask(log, at: 3)
        #expect(watch.reason(at: 3) == .unknownAuthority)
        #expect(watch.unknownAuthorities(at: Log.start + 3).map(\.fingerprint) == [stranger.fingerprint])
        // What was there before the logs is taken as it is.
        var imported = Log()
        imported.begin(certificates: [stranger, own])
        var other = imported.watch(server: try own.server())
        _ = try other.ask(imported, at: 3)
        #expect(other.reason(at: 3) == nil)
    }

    @Test("the pinned owner key speaks for authorities, another one does not")
    func owner() throws {
        let (mine, theirs) = (P256.Signing.PrivateKey(), P256.Signing.PrivateKey())
        for (key, reason) in [(mine, nil), (theirs, RegistrationRefusal.Reason.unknownAuthority)] {
            let (own, next) = (try Log.Authority(), try Log.Authority())
            var log = Log()
            log.begin()
            log.append(.ownerKeySet(key: Array(key.publicKey.derRepresentation), countsAt: Log.start + 1, nil), at: 1)
            log.add(own, at: 2)
            log.add(
                next, at: 3,
                try .sign(tunnelID: Log.tunnel, purpose: .certificate, subject: next.fingerprint, time: Log.start + 3, with: .init(key)))
            var watch = log.watch(server: try own.server(), ownerKey: RegistrationHead.fingerprint(mine.publicKey))
            _ = try watch.ask(log, at: 4)
            #expect(watch.reason(at: 4) == reason)
        }
    }

    @Test("with registration: api authorities count without anybody's word, unless nobody here has allowed that")
    func open() throws {
        let (own, next) = (try Log.Authority(), try Log.Authority())
        var plain = Log()
        plain.begin(.api)
        plain.add(own, at: 1)
        plain.add(next, at: 2)
        var watch = plain.watch(server: try own.server())
        _ = try watch.ask(plain, at: 3)
        #expect(watch.reason(at: 3) == nil)
        for isSigned in [true, false] {
            var log = Log()
            log.begin()
            log.add(own, at: 1)
            let statement = isSigned ? try own.statement(for: "api", .registration, at: Log.start + 2) : nil
            let from = isSigned ? 2 : 2 + Self.day
            log.append(.modeChanged(.api, countsAt: Log.start + from, statement), at: 2)
            log.add(next, at: from + 1)
            var watch = log.watch(server: try own.server())
            _ = try watch.ask(log, at: from + 2)
            #expect(watch.reason(at: from + 2) == (isSigned ? nil : .unknownAuthority))
            watch.accept(["api"])
            #expect(watch.reason(at: from + 2) == nil)
        }
    }

    @Test("keys of other connectors are told, and refused where identity.known_keys names who may be there")
    func connectorKeys() throws {
        let cases: [(Set<String>?, RegistrationRefusal.Reason?)] = [(nil, nil), (["friend"], nil), ([], .unknownConnectorKey)]
        for (known, reason) in cases {
            var (log, watch, _) = try seen(knownKeys: known)
            log.append(.connectorKeyEnrolled(fingerprint: "friend"), at: 20)
            _ = try watch.ask(log, at: 21)
            #expect(watch.reason(at: 21) == reason)
            #expect(watch.foreignKeys == (known == ["friend"] ? [] : ["friend"]))
            log.append(.connectorKeyRevoked(fingerprint: "friend"), at: 22)
            _ = try watch.ask(log, at: 23)
            #expect(watch.reason(at: 23) == nil)
        }
    }

    @Test("a control plane that signs entries against the rules is caught: one that counts too soon, or is dated back")
    func rules() throws {
        let (log, watch, _) = try seen()
        let stranger = try Log.Authority()
        var soon = log
        soon.add(stranger, at: 20, countsAt: 20)
        var caught = watch
        guard case .alarm(let alarm) = try caught.ask(soon, at: 21) else { return #expect(Bool(false)) }
        #expect(alarm.kind == .rules && caught.reason(at: 21) == .rules)
        caught.accept([Hexadecimal.text(alarm.head.root)])
        #expect(caught.reason(at: 21) == .rules)
        // A day after the last head it claims to be older than that.
        var dated = log
        dated.add(stranger, at: 3, countsAt: 3 + Self.day)
        caught = watch
        _ = try caught.ask(log, at: 2 * Self.day)
        guard case .alarm(let second) = try caught.ask(dated, at: 2 * Self.day + 60) else { return #expect(Bool(false)) }
        #expect(second.kind == .rules)
    }

    @Test("what was kept is taken up, and anything that was changed in it is not")
    func keeping() throws {
        let (log, watch, own) = try seen()
        var again = try RegistrationWatch(watch.pins, json: JSON(parsing: watch.json.encoded))
        #expect(again.head == watch.head && again.entries == watch.entries && again.since == 3)
        var more = log
        let next = try Log.Authority()
        more.add(next, at: 20, try own.statement(for: next.fingerprint, at: Log.start + 20))
        guard case .accepted(let news) = try again.ask(more, at: 21) else { return #expect(Bool(false)) }
        #expect(news.count == 1)
        let text = watch.json.text
        for (old, new) in [
            ("\"size\":3", "\"size\":2"), ("connector_key_enrolled", "connector_key_revoked"), ("\"tnl_1\",\"began\"", "\"tnl_2\",\"began\""),
        ] {
            #expect(text.contains(old))
            #expect(throws: RegistrationError.self) { try RegistrationWatch(watch.pins, json: JSON(parsing: text.replacing(old, with: new))) }
        }
        var other = watch.pins
        other.logKey = P256.Signing.PrivateKey().publicKey
        #expect(throws: RegistrationError.self) { try RegistrationWatch(other, json: watch.json) }
    }

    @Test("an answer and a head are read as they were written")
    func forms() throws {
        let (log, _, _) = try seen()
        for since in 0...4 {
            let answer = try log.answer(since: since, at: 5)
            #expect(try RegistrationAnswer(json: JSON(parsing: answer.json.encoded)) == answer)
        }
        for text in ["{}", "[]", #"{"head":{},"log_key":"","since":0,"consistency":[],"entries":[]}"#] {
            #expect(throws: RegistrationError.self) { try RegistrationAnswer(json: JSON(parsing: text)) }
        }
    }
}
