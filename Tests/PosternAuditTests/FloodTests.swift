import PosternAudit
import PosternJSON
import Synchronization
import Testing

@Suite struct FloodTests {
    @Test func equalDenialsAreCountedOnce() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        for _ in 0..<10_000 { try await log.append(fixture.refusal("evil.example"), durable: false) }
        for _ in 0..<5 { try await log.append(fixture.refusal("other.example", session: "sesn_2"), durable: false) }
        #expect(fixture.kinds.filter { $0 == "egress_refused" }.count == 2)
        await log.finish()
        let repeated = fixture.lines.filter { $0["kind"] == "repeated" }
        #expect(repeated.map { $0["body"]?["count"]?.int } == [9999, 4])
        #expect(repeated.first?["session"] == "sesn_1" && repeated.first?["body"]?["kind"] == "egress_refused")
        #expect(repeated.first?["body"]?["what"]?.string?.contains("evil.example:443") == true)
        #expect(fixture.report().isGood)
    }

    @Test func equalUsesOfAKeyAreCountedOnce() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        for _ in 0..<500 { try await log.append(fixture.record(.keyUsed(name: "Vault login", purpose: "db")), durable: false) }
        try await log.append(fixture.record(.keyUsed(name: "Vault login", purpose: "api")), durable: false)
        #expect(fixture.kinds.filter { $0 == "key_use" }.count == 2)
        await log.finish()
        let repeated = fixture.lines.filter { $0["kind"] == "repeated" }
        #expect(repeated.map { $0["body"]?["count"]?.int } == [499] && repeated.first?["body"]?["kind"] == "key_use")
    }

    @Test func whatBecameOfARecordIsTold() async throws {
        var fixture = LogFixture()
        let told = Mutex<[(String, AuditFate)]>([])
        fixture.settings.observe = { record, fate in told.withLock { $0.append((record.kind.name, fate)) } }
        let log = try fixture.open()
        try await log.append(fixture.refusal("evil.example"), durable: false)
        try await log.append(fixture.refusal("evil.example"), durable: false)
        await log.finish()
        await #expect(throws: FileError.self) { try await log.append(fixture.intent("sevt_1"), durable: true) }
        let seen = told.withLock { $0.map { "\($0.0) \($0.1)" } }
        #expect(seen == ["egress_refused written", "egress_refused folded", "intent failed"])
    }

    @Test func aCountIsWrittenWhenItsTimeIsOver() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        for _ in 0..<3 { try await log.append(fixture.refusal("evil.example"), durable: false) }
        fixture.time.advance(.seconds(60))
        // The timer's work and this append are done in that order.
        try await log.append(fixture.intent("sevt_1"), durable: true)
        #expect(fixture.lines.first { $0["kind"] == "repeated" }?["body"]?["count"] == 2)
        // The next one is written in full again.
        try await log.append(fixture.refusal("evil.example"), durable: true)
        #expect(fixture.kinds.filter { $0 == "egress_refused" }.count == 2)
        await log.finish()
    }

    @Test func differentDenialsAreBoundedToo() async throws {
        var fixture = LogFixture()
        fixture.settings.flood.distinctDenials = 10
        let log = try fixture.open()
        for index in 0..<5000 { try await log.append(fixture.refusal("host-\(index).example"), durable: false) }
        await log.finish()
        #expect(fixture.kinds.filter { $0 == "egress_refused" }.count == 10)
        #expect(fixture.lines.first { $0["kind"] == "repeated" }?["body"]?["count"] == 4990)
    }

    @Test func oneSessionsFloodStopsThatSessionAlone() async throws {
        var fixture = LogFixture()
        fixture.settings.flood.burst = 50
        fixture.settings.flood.recordsPerSecond = 1
        let log = try fixture.open()
        var refused: FileError?
        var written = 0
        while refused == nil, written < 1000 {
            do {
                try await log.append(fixture.intent("sevt_\(written)"), durable: false)
                written += 1
            } catch { refused = error }
        }
        #expect(written == 50 && refused?.session == "sesn_1")
        // What it began still ends on record; nothing new begins; the others go on.
        try await log.append(fixture.outcome("sevt_0"), durable: true)
        await #expect(throws: FileError.self) { try await log.append(fixture.intent("sevt_x"), durable: false) }
        try await log.append(fixture.intent("sevt_1", session: "sesn_2"), durable: true)
        // Time alone does not let it go on.
        fixture.time.advance(.seconds(600))
        await #expect(throws: FileError.self) { try await log.append(fixture.intent("sevt_x"), durable: false) }
        try await log.append(fixture.record(.sessionStopped(reason: "flood")), durable: true)
        await log.finish()
        #expect(fixture.kinds.filter { $0 == "session_suspended" }.count == 1)
        let report = fixture.report()
        #expect(report.isGood && report.open == 0 && report.unknown == 50)
    }

    @Test func aSteadySessionGoesOnForEver() async throws {
        var fixture = LogFixture()
        fixture.settings.flood.burst = 20
        fixture.settings.flood.recordsPerSecond = 10
        let log = try fixture.open()
        for call in 0..<200 {
            try await log.append(fixture.intent("sevt_\(call)"), durable: false)
            try await log.append(fixture.outcome("sevt_\(call)"), durable: false)
            fixture.time.advance(.milliseconds(200))
        }
        await log.finish()
        #expect(fixture.kinds.filter { $0 == "outcome" }.count == 200)
    }

    @Test func aSessionThatStopsLeavesNothingOpen() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        try await log.append(fixture.intent("sevt_1"), durable: false)
        try await log.append(fixture.intent("sevt_1", session: "sesn_2"), durable: false)
        try await log.append(fixture.record(.sessionStopped(reason: "lease lost")), durable: true)
        let unknown = fixture.lines.filter { $0["kind"] == "unknown" }
        #expect(unknown.count == 1 && unknown[0]["session"] == "sesn_1" && unknown[0]["call"] == "sevt_1")
        #expect(fixture.report().open == 1)
    }

    @Test func aRecordThatIsTooLargeIsRefusedAndHarmsNoOther() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        let large = fixture.record(.gap(what: String(repeating: "x", count: 2 << 20), count: 1))
        do {
            try await log.append(large, durable: true)
            Issue.record("a record of 2 MiB was taken")
        } catch { #expect(error.session == "sesn_1" && error.description.contains("larger than")) }
        try await log.append(fixture.intent("sevt_1"), durable: true)
        await log.finish()
        #expect(fixture.report().isGood)
    }
}
