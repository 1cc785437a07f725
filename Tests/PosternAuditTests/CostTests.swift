import PosternAudit
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What a record costs, against the bare calls that bring the same bytes to the same disk.
@Suite(.serialized) struct CostTests {
    private static let count = 300

    private static func median(_ samples: [Duration]) -> Duration { samples.sorted()[samples.count / 2] }
    private static func microseconds(_ duration: Duration) -> String { "\((duration / .nanoseconds(100)).rounded() / 10) µs" }

    @Test func aDurableRecordCostsLittleMoreThanItsFlush() async throws {
        let folder = try RealFolder()
        let fixture = LogFixture()
        let log = try AuditLog(path: folder.path + "/audit.jsonl", key: LogFixture.key)
        let plain = try AppendOnlyFile(path: folder.path + "/plain")
        let bare = try SystemDisk().open(folder.path + "/bare")
        let line = [UInt8](repeating: 0x61, count: 400)
        let clock = ContinuousClock()
        var logged: [Duration] = []
        var unchained: [Duration] = []
        var raw: [Duration] = []
        // In turn, so that all see the same machine.
        for call in 0..<Self.count {
            let intent = fixture.intent("sevt_\(call)", session: "sesn_\(call % 7)")
            logged.append(try await clock.measure { try await log.append(intent, durable: true) })
            unchained.append(try await clock.measure { try await plain.append(line, durable: true) })
            raw.append(
                try clock.measure { () throws in
                    var written = 0
                    try bare.append((line + [0x0A])[...], written: &written)
                    try bare.flush()
                })
        }
        await log.finish()
        let (one, two, three) = (Self.median(logged), Self.median(unchained), Self.median(raw))
        print(
            "audit: a durable record \(Self.microseconds(one)); unchained line with group commit \(Self.microseconds(two)); bare write and flush \(Self.microseconds(three)) (medians of \(Self.count), \(Self.build) build)"
        )
        // Other tests keep the machine busy meanwhile, so the bound is against what waits as this does.
        #expect(one < two * 3 + .milliseconds(1))
    }

    @Test func recordsTogetherShareAFlush() async throws {
        let folder = try RealFolder()
        let fixture = LogFixture()
        let log = try AuditLog(path: folder.path + "/audit.jsonl", key: LogFixture.key)
        let clock = ContinuousClock()
        let rounds = 20
        var alone: [Duration] = []
        for call in 0..<rounds { alone.append(try await clock.measure { try await log.append(fixture.intent("a\(call)"), durable: true) }) }
        let together = await clock.measure {
            await withTaskGroup(of: Void.self) { group in
                for writer in 0..<64 {
                    group.addTask {
                        for call in 0..<rounds { try? await log.append(fixture.intent("b\(writer)_\(call)"), durable: true) }
                    }
                }
            }
        }
        await log.finish()
        let each = together / (64 * rounds)
        print("audit: 64 writers at once: \(Self.microseconds(each)) a durable record, one alone \(Self.microseconds(Self.median(alone)))")
        #expect(each < Self.median(alone))
    }

    #if DEBUG
    private static let build = "debug"
    #else
    private static let build = "release"
    #endif
}
