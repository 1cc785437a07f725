import PosternAudit
import PosternJSON
import Testing

@Suite struct ExportTests {
    private func lines() async throws -> [(record: AuditLine, bytes: [UInt8])] {
        let fixture = LogFixture()
        let log = try fixture.open()
        try await log.append(fixture.refusal("evil.example", session: "s]\"\\1"), durable: false)
        try await log.append(fixture.intent("sevt_1"), durable: false)
        await log.finish()
        return try fixture.files.flatMap { try $0.bytes.split(separator: 0x0A).map { (try AuditLine(parsing: $0), Array($0)) } }
    }

    @Test func syslogMessagesFollowTheStandard() async throws {
        let format = SyslogFormat(host: "host name\n", process: "42")
        let lines = try await lines()
        for (record, bytes) in lines {
            let text = String(decoding: format.message(record, line: bytes), as: UTF8.self)
            #expect(!text.contains("\n"))
            // PRI VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [structure] BOM message
            let form =
                /<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) \[postern@32473( [!-<>-~]{1,32}="([^"\\\]]|\\["\\\]])*")+\] \x{FEFF}(\{.*\})/
            let match = try #require(try form.wholeMatch(in: text), "\(text)")
            #expect(String(match.9) == String(decoding: bytes, as: UTF8.self))
            #expect(Int(match.1) == 13 * 8 + (record.kind == "egress_refused" ? 4 : record.kind == "genesis" ? 5 : record.kind == "unknown" ? 4 : 6))
            #expect(match.3 == "host-name-" && match.6 == Substring(record.kind))
        }
        #expect(lines.count >= 5)
    }

    @Test func openTelemetryRequestsFollowTheirForm() async throws {
        var logs = OTLPLogs(host: "h", version: "0.1.0")
        let lines = try await lines()
        for (record, bytes) in lines { #expect(logs.add(record, line: bytes) == nil) }
        let last = logs.flush()
        let request = try #require(last)
        #expect(logs.flush() == nil)
        let records = try #require(request["resourceLogs"]?.array?[0]["scopeLogs"]?.array?[0]["logRecords"]?.array)
        #expect(records.count == lines.count)
        for (record, (line, bytes)) in zip(records, lines) {
            #expect(
                record["timeUnixNano"] == "1795392000000000000" && record["body"]?["stringValue"]?.string == String(decoding: bytes, as: UTF8.self))
            #expect(record["eventName"]?.string == "postern.audit.\(line.kind)")
            let seq = record["attributes"]?.array?.first { $0["key"] == "postern.audit.seq" }
            #expect(seq?["value"]?["intValue"]?.string == "\(line.seq)")
        }
        for _ in 0..<2 { for (record, bytes) in lines.prefix(1) { _ = logs.add(record, line: bytes) } }
        var full = 0
        for _ in 0..<1100 { if logs.add(lines[0].record, line: lines[0].bytes) != nil { full += 1 } }
        #expect(full == 2)
    }
}
