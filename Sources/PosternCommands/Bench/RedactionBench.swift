import PosternGate

/// Redaction's throughput, against a loop that looks at every byte.
struct RedactionBench {
    let isQuick: Bool

    func rows() throws -> [BenchRow] {
        let report = try RedactionBenchmark.run(megabytes: isQuick ? 4 : 16)
        // Rates: with "cost" the ratio is own / peer, the share of the peer's rate that is reached.
        func row(_ name: String, _ rate: Double, _ peerName: String, _ peer: Double) -> BenchRow {
            BenchRow(name: name, unit: "MB/s", samples: [rate], peerName: peerName, peer: [peer], sense: "cost", note: "ratio: share of that rate")
        }
        return [
            row("redaction, nothing found", report.plain, "a look at every byte", report.look),
            row("redaction, finds in every line", report.dense, "a look at every byte", report.look),
            BenchRow(
                name: "rules and secrets made ready for a session", unit: "ms", samples: [report.preparation], peerName: "", peer: [], sense: "cost"),
        ]
    }
}
