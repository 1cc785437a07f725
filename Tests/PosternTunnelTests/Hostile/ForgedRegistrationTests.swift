import Foundation
import PosternJSON
import PosternTunnelWire
import Testing

/// Forged registrations against what a connector makes of them, from the bytes of an edge's answer to whether calls go on. `RegistrationTests` has edges,
/// connectors and calls around it.
@Suite("Forged registrations", .timeLimit(.minutes(20)))
struct ForgedRegistrationTests {
    /// Tries of each attack; 1,000 with POSTERN_FULL=1.
    private static let tries = ProcessInfo.processInfo.environment["POSTERN_FULL"] != nil ? 1000 : 100

    @Test("none is believed, and calls end where it proves that somebody forges", arguments: ForgedRegistration.all)
    func attack(_ forgery: ForgedRegistration) throws {
        let scene = try RegistrationScene()
        #expect(scene.watch.refusal(now: scene.now) == nil)
        var accepted = 0
        for number in 0..<Self.tries {
            let kind = number % forgery.kinds
            let told = try forgery.forge(scene, kind, number)
            var watch = scene.watch
            try Self.take(told, &watch)
            let refusal = watch.refusal(now: told.now)
            #expect(refusal?.reason == forgery.refused, "try \(number), kind \(kind): \(refusal?.description ?? "calls go on")")
            if refusal == nil, watch.head != scene.watch.head { accepted += 1 }
            // Who repeats what is old gains a day.
            if forgery.refused == nil {
                #expect(watch.head == scene.watch.head && watch.refusal(now: scene.seen + 86_401)?.reason == .stale)
            }
        }
        #expect(accepted == 0)
        print("attacks of a hostile edge: forged registration: \(forgery.name): \(Self.tries) tries, \(accepted) accepted")
        fflush(nil)
    }

    /// As a connector takes answers off the wire: the entries after those it has, then all, then it doubts.
    private static func take(_ told: Told, _ watch: inout RegistrationWatch) throws {
        for answer in [told.more, told.whole] {
            let read = try RegistrationAnswer(json: try JSON(parsing: answer.json.canonical))
            do throws(RegistrationError) {
                guard try watch.take(read, now: told.now) == .needsWhole else { return }
                watch.doubt(.entriesAreNotTheHeads)
            } catch {
                return watch.doubt(error)
            }
        }
    }

    @Test("each is believed where the checks that stop it are left out, and not where none is", arguments: ForgedRegistration.all)
    func control(_ forgery: ForgedRegistration) throws {
        let scene = try RegistrationScene()
        for kind in 0..<forgery.kinds {
            let told = try forgery.forge(scene, kind, kind)
            #expect(NaiveWatch(scene: scene, without: forgery.without).believes(told), "kind \(kind)")
            #expect(!NaiveWatch(scene: scene, without: []).believes(told), "kind \(kind)")
        }
    }

    @Test("the same registration with a statement of the authority that counts is believed")
    func signed() throws {
        let scene = try RegistrationScene()
        let word = try scene.own.statement(scene.stranger.fingerprint, at: scene.now)
        var watch = scene.watch
        try Self.take(try scene.told(scene.log + [scene.added(word, at: scene.now)]), &watch)
        #expect(watch.refusal(now: scene.now) == nil && watch.head?.size == 4)
        #expect(watch.ledger.authority(scene.stranger.fingerprint)?.counts(at: scene.now) == true)
    }
}
