import Crypto
import Foundation
import PosternJSON
import PosternTunnelWire
import Testing
import X509

@Suite("What registrations of a tunnel are worth")
struct RegistrationLedgerTests {
    private typealias Log = RegistrationLogBuilder
    private static let day = RegistrationLedger.wait

    private func fold(_ log: Log) throws -> RegistrationLedger { try RegistrationLedger(tunnelID: Log.tunnel, log.entries) }

    private func refusal(_ log: Log) -> RegistrationError? {
        do throws(RegistrationError) {
            _ = try RegistrationLedger(tunnelID: Log.tunnel, log.entries)
            return nil
        } catch { return error }
    }

    private func counting(_ log: Log, at seconds: Int) throws -> [String] {
        try fold(log).authorities.filter { $0.counts(at: Log.start + seconds) }.map(\.fingerprint)
    }

    @Test("the first authority counts at once, the second after 24 hours")
    func wait() throws {
        let (first, second) = (try Log.Authority(), try Log.Authority())
        var log = Log()
        log.begin()
        log.add(first, at: 1)
        #expect(try counting(log, at: 1) == [first.fingerprint])
        log.add(second, at: 2, countsAt: 2 + Self.day)
        #expect(try counting(log, at: 1 + Self.day) == [first.fingerprint])
        #expect(try counting(log, at: 2 + Self.day) == [first.fingerprint, second.fingerprint])
    }

    @Test("an entry that says that it counts sooner or later than the rule gives it is refused")
    func countsAt() throws {
        let (first, second) = (try Log.Authority(), try Log.Authority())
        for time in [2, 1 + Self.day, 3 + Self.day, 0] {
            var log = Log()
            log.begin()
            log.add(first, at: 1)
            log.add(second, at: 2, countsAt: time)
            #expect(refusal(log) == .countsAt(said: Log.start + time, rule: Log.start + 2 + Self.day))
        }
    }

    @Test("who archives the first authority is not first again")
    func afterArchiving() throws {
        let (first, second) = (try Log.Authority(), try Log.Authority())
        var log = Log()
        log.begin()
        log.add(first, at: 1)
        log.append(.certificateArchived(fingerprint: first.fingerprint), at: 2)
        log.add(second, at: 3)
        #expect(refusal(log) == .countsAt(said: Log.start + 3, rule: Log.start + 3 + Self.day))
    }

    @Test("what counted before the log is in its first entry, and a second such entry is refused")
    func imported() throws {
        let (first, second) = (try Log.Authority(), try Log.Authority())
        var log = Log()
        log.begin(certificates: [first], keys: ["k1"])
        #expect(try counting(log, at: 0) == [first.fingerprint])
        #expect(try fold(log).connectorKeys == ["k1"])
        log.append(.tunnel(.api, certificates: [second.entry], connectorKeys: []), at: 1)
        #expect(refusal(log) == .alreadyBegun)
        log.entries.removeFirst()
        log.entries[0] = RegistrationEntry(tunnelID: Log.tunnel, at: Log.start, .connectorKeyEnrolled(fingerprint: "k")).encoded
        #expect(refusal(log) == .notFirst)
    }

    @Test("a statement of an authority that counts lets another count at once; RSA and every curve sign")
    func statements() throws {
        let keys: [(Certificate.PrivateKey, Certificate.SignatureAlgorithm)] = [
            (.init(P256.Signing.PrivateKey()), .ecdsaWithSHA256), (.init(P384.Signing.PrivateKey()), .ecdsaWithSHA384),
            (.init(P521.Signing.PrivateKey()), .ecdsaWithSHA512),
            (try Certificate.PrivateKey(pemEncoded: RSATestKey.pem()), .sha256WithRSAEncryption),
        ]
        for (key, algorithm) in keys {
            let (first, second) = (try Log.Authority(key, algorithm: algorithm), try Log.Authority())
            var log = Log()
            log.begin()
            log.add(first, at: 1)
            log.add(second, at: 5, try first.statement(for: second.fingerprint, at: Log.start + 4))
            #expect(try counting(log, at: 5) == [first.fingerprint, second.fingerprint])
        }
    }

    /// A log with one authority, and a second one with the statement that `make` gives.
    private func second(_ make: (_ first: Log.Authority, _ second: Log.Authority) throws -> RegistrationStatement) throws -> RegistrationError? {
        let (first, second) = (try Log.Authority(), try Log.Authority())
        var log = Log()
        log.begin()
        log.add(first, at: 1)
        log.add(second, at: 5, try make(first, second))
        return refusal(log)
    }

    @Test("a statement for another tunnel, authority, purpose or time, by a stranger, or with a bit turned, is none")
    func wrongStatements() throws {
        let at = Log.start + 4
        #expect(try second { try $0.statement(for: $1.fingerprint, at: at) } == nil)
        #expect(try second { try $0.statement(for: $1.fingerprint, at: at, tunnel: "tnl_2") } == .statementPurpose)
        #expect(try second { first, _ in try first.statement(for: first.fingerprint, at: at) } == .statementPurpose)
        #expect(try second { try $0.statement(for: $1.fingerprint, .ownerKey, at: at) } == .statementPurpose)
        #expect(try second { try $0.statement(for: $1.fingerprint, at: at + 302) } == .statementTime(30))
        #expect(try second { try $0.statement(for: $1.fingerprint, at: at - 31 * Self.day) } == .statementTime(30))
        // The new one speaks for itself; a stranger speaks; somebody gives another's name.
        #expect(try second { _, other in try other.statement(for: other.fingerprint, at: at) } != nil)
        let stranger = try Log.Authority()
        guard case .statementSigner? = try second({ _, other in try stranger.statement(for: other.fingerprint, at: at) }) else {
            return #expect(Bool(false))
        }
        let named = try second { first, second in
            var statement = try stranger.statement(for: second.fingerprint, at: at)
            statement.key = try first.statement(for: second.fingerprint, at: at).key
            return statement
        }
        #expect(named == .statementSignature)
        for bit in [0, 9, 77, 300] {
            let turned = try second { first, second in
                var statement = try first.statement(for: second.fingerprint, at: at)
                statement.signature[bit / 8 % statement.signature.count] ^= 1 << (bit % 8)
                return statement
            }
            #expect(turned == .statementSignature)
        }
    }

    @Test("an archived authority, one that waits, and a statement that was used before speak for nobody")
    func silentSigners() throws {
        let (first, second, third) = (try Log.Authority(), try Log.Authority(), try Log.Authority())
        var log = Log()
        log.begin()
        log.add(first, at: 1)
        log.add(second, at: 2, countsAt: 2 + Self.day)
        var waiting = log
        waiting.add(third, at: 3, try second.statement(for: third.fingerprint, at: Log.start + 3))
        guard case .statementSigner? = refusal(waiting) else { return #expect(Bool(false), "one that waits") }
        let statement = try first.statement(for: third.fingerprint, at: Log.start + 3)
        log.add(third, at: 4, statement)
        log.append(.certificateArchived(fingerprint: third.fingerprint), at: 5)
        var again = log
        again.add(third, at: 6, statement)
        #expect(refusal(again) == .statementUsed)
        log.append(.certificateArchived(fingerprint: first.fingerprint), at: 7)
        log.add(third, at: 8, try first.statement(for: third.fingerprint, at: Log.start + 6))
        guard case .statementSigner? = refusal(log) else { return #expect(Bool(false), "an archived one") }
    }

    @Test("an endorsement ends the wait")
    func endorsement() throws {
        let (first, second) = (try Log.Authority(), try Log.Authority())
        var log = Log()
        log.begin()
        log.add(first, at: 1)
        log.add(second, at: 2, countsAt: 2 + Self.day)
        log.append(.certificateEndorsed(fingerprint: second.fingerprint, try first.statement(for: second.fingerprint, at: Log.start + 9)), at: 10)
        #expect(try counting(log, at: 10) == [first.fingerprint, second.fingerprint])
        log.append(.certificateEndorsed(fingerprint: "none", try first.statement(for: "none", at: Log.start + 9)), at: 11)
        #expect(refusal(log) == .unknownCertificate("none"))
    }

    @Test("the owner key speaks for authorities; before there is one it counts at once, after that as an authority does")
    func ownerKey() throws {
        let (owner, other) = (P256.Signing.PrivateKey(), P256.Signing.PrivateKey())
        let (first, second) = (try Log.Authority(), try Log.Authority())
        func der(_ key: P256.Signing.PrivateKey) -> [UInt8] { Array(key.publicKey.derRepresentation) }
        func fingerprint(_ key: P256.Signing.PrivateKey) -> String { Hexadecimal.text(SHA256.hash(data: der(key))) }
        var log = Log()
        log.begin()
        log.append(.ownerKeySet(key: der(owner), countsAt: Log.start + 1, nil), at: 1)
        log.add(first, at: 2)
        let statement = try RegistrationStatement.sign(
            tunnelID: Log.tunnel, purpose: .certificate, subject: second.fingerprint, time: Log.start + 3, with: .init(owner))
        log.add(second, at: 4, statement)
        #expect(try counting(log, at: 4).count == 2)
        var taken = log
        taken.append(.ownerKeySet(key: der(other), countsAt: Log.start + 5, nil), at: 5)
        #expect(refusal(taken) == .countsAt(said: Log.start + 5, rule: Log.start + 5 + Self.day))
        log.append(.ownerKeySet(key: der(other), countsAt: Log.start + 5 + Self.day, nil), at: 5)
        #expect(try fold(log).ownerKey(at: Log.start + 6)?.fingerprint == fingerprint(owner))
        // The owner sets the own key again, and what waited is over.
        let back = try RegistrationStatement.sign(
            tunnelID: Log.tunnel, purpose: .ownerKey, subject: fingerprint(owner), time: Log.start + 6, with: .init(owner))
        log.append(.ownerKeySet(key: der(owner), countsAt: Log.start + 7, back), at: 7)
        #expect(try fold(log).ownerKey(at: Log.start + 9 * Self.day)?.fingerprint == fingerprint(owner))
        log.append(.ownerKeySet(key: [1, 2, 3], countsAt: Log.start + 8 + Self.day, nil), at: 8)
        guard case .malformed? = refusal(log) else { return #expect(Bool(false)) }
    }

    @Test("loosening waits or needs a statement, narrowing does not, and takes back what waits")
    func modes() throws {
        let (first, second) = (try Log.Authority(), try Log.Authority())
        var log = Log()
        log.begin()
        log.add(first, at: 1)
        var bold = log
        bold.append(.modeChanged(.api, countsAt: Log.start + 2, nil), at: 2)
        #expect(refusal(bold) == .countsAt(said: Log.start + 2, rule: Log.start + 2 + Self.day))
        var slow = log
        slow.append(.modeChanged(.api, countsAt: Log.start + 2 + Self.day, nil), at: 2)
        let slowly = try fold(slow)
        #expect(slowly.mode(at: Log.start + 1 + Self.day) == .signed && slowly.mode(at: Log.start + 2 + Self.day) == .api)
        slow.append(.modeChanged(.signed, countsAt: Log.start + 3, nil), at: 3)
        #expect(try fold(slow).mode(at: Log.start + 9 * Self.day) == .signed)
        log.append(.modeChanged(.api, countsAt: Log.start + 2, try first.statement(for: "api", .registration, at: Log.start + 1)), at: 2)
        log.add(second, at: 3)
        #expect(try counting(log, at: 3).count == 2)
        var open = Log()
        open.begin(.api)
        open.add(first, at: 1)
        open.add(second, at: 2)
        #expect(try counting(open, at: 2).count == 2)
    }

    @Test("time does not go back, and nothing comes after the end")
    func order() throws {
        var log = Log()
        log.begin()
        log.append(.connectorKeyEnrolled(fingerprint: "k"), at: 5)
        var back = log
        back.append(.connectorKeyRevoked(fingerprint: "k"), at: 4)
        #expect(refusal(back) == .backwards)
        var twice = log
        twice.append(.connectorKeyEnrolled(fingerprint: "k"), at: 6)
        #expect(refusal(twice) == .knownKey("k"))
        var none = log
        none.append(.connectorKeyRevoked(fingerprint: "other"), at: 6)
        #expect(refusal(none) == .unknownKey("other"))
        log.append(.tunnelArchived, at: 6)
        #expect(refusal(log) == nil)
        log.append(.connectorKeyEnrolled(fingerprint: "k2"), at: 7)
        #expect(refusal(log) == .archived)
    }

    @Test("an entry has one spelling")
    func spelling() throws {
        let first = try Log.Authority()
        let kinds: [RegistrationEntry.Kind] = [
            .tunnel(.api, certificates: [first.entry], connectorKeys: ["a", "b"]),
            .certificateAdded(first.entry, countsAt: 7, try first.statement(for: "x", at: 3)), .certificateAdded(first.entry, countsAt: 7, nil),
            .certificateEndorsed(fingerprint: "x", try first.statement(for: "x", at: 3)), .certificateArchived(fingerprint: "x"),
            .connectorKeyEnrolled(fingerprint: "x"), .connectorKeyRevoked(fingerprint: "x"), .ownerKeySet(key: [1, 2], countsAt: 4, nil),
            .modeChanged(.signed, countsAt: 3, nil), .tunnelArchived,
        ]
        for kind in kinds {
            let entry = RegistrationEntry(tunnelID: "tnl_1", at: 5, kind)
            #expect(try RegistrationEntry(entry.encoded) == entry)
            let text = String(decoding: entry.encoded, as: UTF8.self)
            for other in [
                " " + text, text.replacing("\"at\":5", with: "\"at\":5.0"), text.replacing("{\"at\"", with: "{\"aa\":1,\"at\""), text + text, "",
            ] {
                #expect(throws: RegistrationError.self) { try RegistrationEntry(Array(other.utf8)) }
            }
        }
        for text in ["[]", "{}", "7", #"{"at":1,"tunnel":"t","type":"other"}"#] {
            #expect(throws: RegistrationError.self) { try RegistrationEntry(Array(text.utf8)) }
        }
    }
}
