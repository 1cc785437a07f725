import PosternAudit
import PosternJSON
import Testing

@Suite struct RecordTests {
    /// One of each kind that a caller can write.
    static let kinds: [AuditRecord.Kind] = {
        let digest = AuditRecord.Digest(digest: "ab", bytes: 3)
        let request = AuditRecord.EgressRequest(
            id: "r1", host: "api.example.com", port: 443, method: "POST", path: digest, address: "192.0.2.7", rule: "api", decision: "allow")
        return [
            .intent(input: digest), .offloaded(.init(path: "/mnt/\u{1F600}\"\\", bytes: 9, digest: "ab")),
            .secretChanged(.init(name: "token", state: .kept, reason: "cannot be reached")),
            .redacted(.init(door: "result", action: "mask", counts: ["email": 2, "aws_key": 1])),
            .fileDecision(.init(operation: "read", path: "/etc/shadow", isAllowed: false, rule: nil)),
            .workspaceScanned(counts: ["setid": 0, "links_out": 3]), .egressIntent(request), .egressRefused(request),
            .egressOutcome(.init(id: "r1", status: 200, bytesSent: 10, bytesReceived: 20, milliseconds: 5, error: nil)),
            .tunnelIntent(
                .init(
                    id: "t1", tunnel: "tnl_1", route: "docs", upstream: "http://10.0.0.7:80", method: "POST", caller: ["client": "curl"],
                    decision: "allowed")),
            .tunnelOutcome(.init(id: "t1", status: 200, bytesSent: 1, bytesReceived: 2, milliseconds: 3, error: nil)),
            .tunnelRefused(.init(id: "t2", tunnel: "tnl_1", route: nil, upstream: nil, method: nil, caller: [:], decision: "no_certificate")),
            .statement(.init(connection: "c1", text: digest, keyword: "SELECT", database: "d", role: "r")),
            .secretUsed(.init(name: "token", host: "api.example.com", place: "header authorization", request: "r1")),
            .budget(.init(scope: "session", limit: 10, used: 11, state: "exhausted")),
            .workerStarted(.init(name: "w", version: "0.1.0", driver: "bubblewrap", layers: ["seccomp", "landlock"])),
            .workerStopped(reason: "drained"),
            .sessionStarted(.init(agentID: "agent_1", environmentID: "env_1", workspaceMode: "cow", isResumed: false)),
            .sessionStopped(reason: "released"), .policyLoaded(.init(name: "strict", version: 1, digest: "d1", ceiling: "c1")),
            .keyUsed(name: "environment key", purpose: "poll"), .approval(.init(subject: "tool", isAllowed: false, by: "time-out", rule: "ask-1")),
            .frozen(.init(subject: "all", by: "operator", processesStopped: 12, processesKilled: 1, survivors: 0, milliseconds: 80)),
            .thawed(subject: "all", by: "operator"), .selfTest(.init(checks: ["mounts": true, "network": true])),
            .layerOff(layer: "landlock", reason: "the kernel has none"), .gap(what: "lost", count: 2),
        ]
    }()

    @Test func everyKindIsCanonicalAndVerifies() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        for kind in Self.kinds { try await log.append(fixture.record(kind, call: "sevt_1"), durable: false) }
        await log.finish()
        for line in fixture.files.flatMap({ $0.bytes.split(separator: 0x0A) }) { #expect(try JSON(parsing: line).canonical == Array(line)) }
        #expect(Set(Self.kinds.map(\.name)).isSubset(of: Set(fixture.kinds)))
        let report = fixture.report()
        #expect(report.isGood, "\(report.finding?.description ?? "")")
        #expect(report.lastSeq == report.records && report.unsigned == 0)
    }

    @Test func aRecordHasItsHeadAndItsChain() async throws {
        var fixture = LogFixture()
        fixture.settings.policy = "d0"
        let log = try fixture.open()
        try await log.append(fixture.record(.thawed(subject: "all", by: "operator"), session: nil), durable: false)
        try await log.append(fixture.record(.policyLoaded(.init(name: "strict", version: 2, digest: "d1", ceiling: "d0"))), durable: false)
        try await log.append(fixture.intent("sevt_1"), durable: true)
        try await log.append(fixture.intent("sevt_2", session: "sesn_2"), durable: true)
        try await log.append(fixture.record(.sessionStopped(reason: "stopped")), durable: true)
        await log.finish()
        let lines = fixture.lines
        #expect(lines[0]["kind"] == "genesis" && lines[0]["seq"] == 1 && lines[0]["prev"]?.string == String(repeating: "0", count: 64))
        #expect(lines[0]["body"]?["root_key"]?.string == log.newRootKey)
        #expect(lines[1]["kind"] == "checkpoint" && lines[1]["body"]?["reason"] == "start")
        #expect(lines.allSatisfy { $0["v"] == 2 && $0["writer"]?.string == log.writer && $0["time"]?.string?.hasSuffix("Z") == true })
        let first = try #require(lines.first { $0["call"] == "sevt_1" })
        #expect(first["session"] == "sesn_1" && first["work"] == "work_1" && first["policy"] == "d1" && first["body"]?["input"]?["bytes"] == 17)
        #expect(try #require(lines.first { $0["call"] == "sevt_2" })["policy"] == "d0")
        // What the log says of itself too, signed over.
        #expect(lines.allSatisfy { $0["policy"] == ($0["session"] == "sesn_1" ? "d1" : "d0") }, "\(lines)")
        #expect(Set(fixture.kinds).isSuperset(of: ["genesis", "checkpoint", "thaw"]) && fixture.report().isGood)
    }

    @Test func whatMustBeSignedIsSignedAtOnce() async throws {
        let fixture = LogFixture()
        let log = try fixture.open()
        try await log.append(
            fixture.record(
                .frozen(.init(subject: "all", by: "operator", processesStopped: 3, processesKilled: 0, survivors: 0, milliseconds: 9)), session: nil),
            durable: true)
        #expect(fixture.kinds == ["genesis", "checkpoint", "freeze", "checkpoint"])
    }

    @Test func timesAreReadAsTheyAreWritten() {
        for (text, nanoseconds) in [
            ("1970-01-01T00:00:00.000000Z", 0), ("2000-02-29T23:59:59.5Z", 951_868_799_500_000_000),
            ("2026-11-26T22:15:18.123456Z", 1_795_731_318_123_456_000),
            ("1969-12-31T23:59:59Z", -1_000_000_000),
        ] { #expect(AuditTime.nanoseconds(text) == nanoseconds) }
        for seconds in stride(from: -5_000_000_000, through: 6_000_000_000, by: 86_399_333) {
            #expect(AuditTime.nanoseconds(AuditTime.text(seconds: seconds, microseconds: 7)) == seconds * 1_000_000_000 + 7000)
        }
        for text in ["", "2026-11-26", "2026-13-26T22:15:18Z", "2026-11-26T22:15:18+01:00", "2026-11-26T2x:15:18Z", "2026-11-26T22:15:18.Z"] {
            #expect(AuditTime.nanoseconds(text) == nil)
        }
    }
}
