import PosternAudit
import PosternGate
import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What recording costs a call: chained records against bare durable appends of as many bytes to a file beside them.
struct AuditBench {
    let isQuick: Bool

    private static let time = "2026-01-01T00:00:00.000000Z"

    func rows() async throws -> [BenchRow] {
        let scratch = try ScratchFolder("postern-bench")
        defer { scratch.remove() }
        let key = try AuditKey.load(path: "\(scratch.path)/audit.key")
        let log = try AuditLog(path: "\(scratch.path)/audit.jsonl", key: key)
        let bare = open("\(scratch.path)/bare", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard bare >= 0 else { throw CommandError(.failure, "no file can be made in \(scratch.path)") }
        defer { close(bare) }
        var rows = [try await alone(log, bare), try await buffered(log), try await together(log)]
        rows += try await gate(log)
        await log.finish()
        return rows
    }

    private func record(_ log: AuditLog, _ session: String, _ number: Int) -> AuditRecord {
        AuditRecord(
            time: Self.time, sessionID: session, workID: session, callID: "sevt_\(session)_\(number)", tool: "bash",
            kind: .intent(input: log.digest(.input, of: ["command": "swift build --target Everything"])))
    }

    /// One after the other, each on the disk before the next; a bare append between any two.
    private func alone(_ log: AuditLog, _ bare: Int32) async throws -> BenchRow {
        var own: [Double] = []
        var peer: [Double] = []
        let line = [UInt8](repeating: 0x78, count: 400)
        for number in 0...(isQuick ? 100 : 600) {
            let record = record(log, "alone", number)
            let time = try await Self.microseconds { try await log.append(record, durable: true) }
            let plain = await Self.microseconds {
                _ = line.withUnsafeBytes { write(bare, $0.baseAddress, $0.count) }
                fdatasync(bare)
            }
            guard number > 0 else { continue }
            own.append(time)
            peer.append(plain)
        }
        return BenchRow(
            name: "audit record, on the disk (intent of a call)", unit: "µs", samples: own, peerName: "write and fdatasync of 400 bytes", peer: peer,
            sense: "cost", note: "chained, signed every 1000")
    }

    /// Handed to the kernel only, as outcomes are.
    private func buffered(_ log: AuditLog) async throws -> BenchRow {
        var own: [Double] = []
        for number in 0...(isQuick ? 200 : 3000) {
            let record = record(log, "buffered", number)
            let time = try await Self.microseconds { try await log.append(record, durable: false) }
            if number > 0 { own.append(time) }
        }
        return BenchRow(name: "audit record, in the kernel (outcome of a call)", unit: "µs", samples: own, peerName: "", peer: [], sense: "cost")
    }

    /// 64 sessions at once share their flushes.
    private func together(_ log: AuditLog) async throws -> BenchRow {
        var own: [Double] = []
        let (writers, each) = (64, isQuick ? 5 : 20)
        for round in 0..<(isQuick ? 3 : 7) {
            let time = try await Self.microseconds {
                try await withThrowingTaskGroup { group in
                    for writer in 0..<writers {
                        group.addTask {
                            for number in 0..<each { try await log.append(record(log, "writer\(writer)", round * each + number), durable: true) }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            own.append(time / Double(writers * each))
        }
        return BenchRow(
            name: "audit record, on the disk, 64 sessions at once", unit: "µs", samples: own, peerName: "", peer: [], sense: "cost",
            note: "time per record")
    }

    /// The whole gate for one result: budget, redaction with the standard rules, encoding, the outcome's record.
    private func gate(_ log: AuditLog) async throws -> [BenchRow] {
        let gate = ResultGate(audit: log, timestamp: { Self.time })
        try gate.check()
        var rows: [BenchRow] = []
        for (bytes, name) in [(100, "100 bytes"), (4_096, "4 KiB"), (100_000, "100 kB")] {
            let line = "[info] build of module 7 failed at /usr/lib/x.swift:7: let value = static(0x7fff) // why?\n"
            let text = String(repeating: line, count: bytes / line.utf8.count + 1)
            let result = OutgoingResult(content: [ResultBlocks.text(text)], isError: false, producedBytes: text.utf8.count, exitCode: 0)
            var own: [Double] = []
            for number in 0...(isQuick ? 50 : 400) {
                let call = GateCall(sessionID: "gate", workID: "gate", callID: "sevt_gate_\(bytes)_\(number)", tool: "bash")
                let time = try await Self.microseconds { _ = try await gate.pass(result, of: call) }
                if number > 0 { own.append(time) }
            }
            rows.append(
                BenchRow(
                    name: "gate for a result of \(name)", unit: "µs", samples: own, peerName: "", peer: [], sense: "cost",
                    note: "budget, redaction, encoding, outcome's record"))
        }
        return rows
    }

    private static func microseconds(_ body: () async throws -> Void) async rethrows -> Double {
        let start = ContinuousClock.now
        try await body()
        return (ContinuousClock.now - start) / .microseconds(1)
    }
}
