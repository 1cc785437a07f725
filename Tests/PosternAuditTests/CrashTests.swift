import PosternAudit
import PosternJSON
import Testing

/// The writer stops at every step that it takes on the disk; the next one recovers, and nothing that was durable is lost.
@Suite struct CrashTests {
    /// Opens the log and works until the disk stops; which intents were promised to be durable.
    private static func work(_ fixture: LogFixture) async -> [String] {
        var promised: [String] = []
        guard let log = try? fixture.open() else { return [] }
        for call in 0..<14 {
            let id = "sevt_\(fixture.disk.steps)_\(call)"
            do {
                try await log.append(fixture.intent(id), durable: true)
                promised.append(id)
                if call % 3 != 0 { try await log.append(fixture.outcome(id), durable: false) }
            } catch { return promised }
        }
        await log.finish()
        return promised
    }

    private static func settings(_ fixture: inout LogFixture) {
        fixture.settings.maximumFileBytes = 2500
        fixture.settings.checkpointRecords = 4
        fixture.settings.reserveBytes = 64
        fixture.settings.mirrorFolder = nil
    }

    @Test(arguments: [false, true]) func everyStepRecovers(losesPower: Bool) async throws {
        var reference = LogFixture()
        Self.settings(&reference)
        _ = await Self.work(reference)
        let steps = reference.disk.steps
        var (torn, unknown, rotations) = (0, 0, 0)
        for step in 1...steps {
            var first = LogFixture()
            Self.settings(&first)
            first.disk.stop(at: step)
            let promised = await Self.work(first)

            var second = LogFixture(first.disk.afterCrash(losesPower: losesPower))
            Self.settings(&second)
            // Killed once more, at a step of the recovery itself.
            second.disk.stop(at: 1 + step % 9)
            _ = await Self.work(second)
            var third = LogFixture(second.disk.afterCrash(losesPower: losesPower))
            Self.settings(&third)
            let log = try third.open()
            try await log.append(third.intent("last"), durable: true)
            await log.finish()

            let report = third.report()
            #expect(report.isGood, "step \(step) of \(steps): \(report.finding?.description ?? "")")
            #expect(report.open == 0 && report.unsigned == 0)
            let calls = Set(third.lines.filter { $0["kind"] == "intent" }.compactMap { $0["call"]?.string })
            #expect(calls.isSuperset(of: promised), "step \(step): a durable intent is lost")
            #expect(!third.disk.names.contains { $0.hasSuffix(".tmp") }, "a file with keys is left")
            torn += report.tornTails
            unknown += report.unknown
            rotations += third.files.count - 1
        }
        print(
            "audit: stopped at each of \(steps) steps (power lost: \(losesPower)): all recovered; \(torn) torn tails, \(unknown) unknown, \(rotations) rotations"
        )
        #expect(torn > 0 && unknown > 0 && rotations > 0 && steps > 100)
    }

    @Test func aTornTailIsClosedAndNamed() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        try await log.append(fixture.intent("sevt_1"), durable: true)
        var bytes = try #require(fixture.disk[LogFixture.path])
        bytes += Array(#"{"body":{"input":{"byt"#.utf8) + [0x0A] + [UInt8](repeating: 0, count: 40)
        let crashed = fixture.disk.afterCrash(losesPower: false)
        crashed[LogFixture.path] = bytes
        let again = LogFixture(crashed)
        #expect(again.report().finding?.what.contains("cut off") == true)
        let reopened = try again.open()
        // Closed at the start already, before anything new is taken.
        #expect(again.kinds.suffix(3) == ["torn_tail", "unknown", "checkpoint"] && again.report().open == 0)
        await reopened.finish()
        let report = again.report()
        #expect(report.isGood && report.tornTails == 1 && report.unknown == 1)
        // What was torn is still there, and cannot be taken away or put elsewhere.
        let file = try #require(again.disk[LogFixture.path])
        let torn = try #require(again.lines.first { $0["kind"] == "torn_tail" }?["body"]?["bytes"]?.int)
        #expect(torn == 22 + 1 + 40)
        let lines = file.split(separator: 0x0A)
        let without = lines.filter { $0.first == UInt8(ascii: "{") && $0.last == UInt8(ascii: "}") }
        #expect(without.count == lines.count - 2)
        #expect(LogFixture.verify([("x", without.flatMap { $0 + [0x0A] })]).finding?.what.contains("torn bytes") == true)
    }

    @Test func anIntentThatLacksOnlyItsNewlineIsWhole() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        try await log.append(fixture.intent("sevt_1"), durable: true)
        let crashed = fixture.disk.afterCrash(losesPower: false)
        crashed[LogFixture.path]?.removeLast()
        let again = LogFixture(crashed)
        await (try again.open()).finish()
        let report = again.report()
        #expect(report.isGood && report.tornTails == 0 && report.unknown == 1)
    }

    @Test func whatWasChangedIsNeverContinued() async throws {
        let fixture = LogFixture()
        await (try fixture.open()).finish()
        let good = try #require(fixture.disk[LogFixture.path])
        let keys = try #require(fixture.disk["/log/audit.signing-key"])

        // A byte in the middle, the end cut off, the keys of another log, no keys, no log.
        var changed = good
        changed[300] ^= 1
        fixture.disk[LogFixture.path] = changed
        #expect(throws: FileError.self) { try fixture.open() }
        let lines = good.split(separator: 0x0A)
        fixture.disk[LogFixture.path] = lines.dropLast(2).flatMap { $0 + [0x0A] }
        #expect(throws: FileError.self) { try fixture.open() }
        fixture.disk[LogFixture.path] = good
        let other = LogFixture()
        _ = try other.open()
        fixture.disk["/log/audit.signing-key"] = other.disk["/log/audit.signing-key"]
        #expect(throws: FileError.self) { try fixture.open() }
        fixture.disk["/log/audit.signing-key"] = nil
        #expect(throws: FileError.self) { try fixture.open() }
        fixture.disk["/log/audit.signing-key"] = keys
        fixture.disk[LogFixture.path] = nil
        #expect(throws: FileError.self) { try fixture.open() }
        // Put back as it was, it goes on.
        fixture.disk[LogFixture.path] = good
        await (try fixture.open()).finish()
        #expect(fixture.report().isGood)
    }

    @Test func aLogOfBeforeTheChainIsSetAside() async throws {
        let fixture = LogFixture()
        let old = Array("{\"v\":1,\"kind\":\"intent\"}\n{\"v\":1,\"kind\":\"int".utf8)
        fixture.disk[LogFixture.path] = old
        await (try fixture.open()).finish()
        #expect(fixture.disk["/log/audit-unchained.jsonl"] == old)
        #expect(fixture.lines[0]["body"]?["replaced"]?["file"] == "/log/audit-unchained.jsonl")
        #expect(fixture.report().isGood && fixture.files.count == 1)
    }
}
