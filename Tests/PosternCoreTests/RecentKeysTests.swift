import ManagedAgentsAPI
import Testing

@testable import PosternCore

/// Look-ups of a key that come back late, in every order with its revocation.
@Suite("Recently seen keys") struct RecentKeysTests {
    private let start = Timestamp(microseconds: 1_000_000)
    private func at(_ milliseconds: Int) -> Timestamp { start.advanced(by: .milliseconds(milliseconds)) }

    private func key(_ id: String = "ekey_1", revoked: Bool = false) -> KeyRecord {
        KeyRecord(
            id: id, kind: .environment, workspaceID: "w", environmentID: "env_1", name: "k", hash: Array(id.utf8), hint: "…", createdAt: start,
            revokedAt: revoked ? start : nil)
    }
    private func isKnown(_ recent: RecentKeys, _ now: Timestamp) -> Bool {
        recent.key("ekey_1", now) != nil || recent.key(Array("ekey_1".utf8), now) != nil
    }

    @Test("A key is answered for a second after the begin of the read") func life() {
        var recent = RecentKeys()
        recent.note(key(), readAt: at(0), now: at(300))
        #expect(recent.key("ekey_1", at(999)) == key() && recent.key(Array("ekey_1".utf8), at(999)) == key())
        #expect(!isKnown(recent, at(1000)))
    }

    @Test("A read that was under way when the key was revoked is not kept", arguments: [0, 10, 20]) func late(begin: Int) {
        var recent = RecentKeys()
        recent.forget("ekey_1", now: at(20))
        recent.note(key(), readAt: at(begin), now: at(30))
        #expect(!isKnown(recent, at(30)))
    }

    @Test("A read that came back before is forgotten") func readFirst() {
        var recent = RecentKeys()
        recent.note(key(), readAt: at(0), now: at(10))
        recent.forget("ekey_1", now: at(20))
        #expect(!isKnown(recent, at(20)))
    }

    @Test("A read that began afterwards is kept") func afterwards() {
        var recent = RecentKeys()
        recent.forget("ekey_1", now: at(20))
        recent.note(key(revoked: true), readAt: at(21), now: at(30))
        #expect(recent.key("ekey_1", at(30))?.revokedAt != nil)
        // And is not replaced by one that began before.
        recent.note(key(), readAt: at(19), now: at(31))
        #expect(recent.key("ekey_1", at(31))?.revokedAt != nil)
    }

    @Test("A read that outlasts what is remembered is too old to be kept") func slowRead() {
        var recent = RecentKeys()
        recent.forget("ekey_1", now: at(20))
        recent.forget("ekey_2", now: at(1100))
        recent.note(key(), readAt: at(10), now: at(1101))
        #expect(!isKnown(recent, at(1101)))
    }

    @Test("Forgotten ids are remembered for a second") func bounded() {
        var recent = RecentKeys()
        for index in 0..<100 { recent.forget("ekey_\(index)", now: at(0)) }
        recent.forget("other", now: at(999))
        #expect(recent.forgottenCount == 101)
        recent.forget("other", now: at(1000))
        #expect(recent.forgottenCount == 1)
    }

    @Test("Making room for others is no revocation") func capacity() {
        var recent = RecentKeys()
        recent.note(key(), readAt: at(0), now: at(0))
        for index in 2...5000 { recent.note(key("ekey_\(index)"), readAt: at(1500), now: at(1500)) }
        recent.note(key(), readAt: at(2600), now: at(2600))
        #expect(recent.key("ekey_1", at(2600)) != nil && recent.forgottenCount == 0)
    }
}
