import PosternStore

/// Durable event appends against bare SQLite commits on the same disk, both with `synchronous=FULL`.
struct StoreBench {
    let isQuick: Bool

    func rows() async throws -> [BenchRow] {
        var bare: [Double] = []
        var appends: [Int: [Double]] = [:]
        // Several runs, each of all kinds, so that what else the disk does meets all alike.
        for _ in 0..<(isQuick ? 5 : 11) {
            let scratch = try ScratchFolder("postern-bench")
            defer { scratch.remove() }
            let report = try await StoreBenchmark.run(folder: scratch.path, count: isQuick ? 1000 : 4000)
            bare.append(1000 / report.bareCommitsPerSecond)
            for (writers, perSecond, _) in report.appendsPerSecond { appends[writers, default: []].append(1000 / perSecond) }
        }
        let most = appends.keys.max() ?? 0
        return appends.keys.sorted().map { writers in
            BenchRow(
                name: "event append, durable, \(writers) writer\(writers == 1 ? "" : "s")", unit: "ms", samples: appends[writers] ?? [],
                peerName: "bare SQLite commit, FULL", peer: bare, sense: "faster", floor: writers == most ? 3 : nil, aim: writers == most ? 10 : nil,
                note: "time per append")
        }
    }
}
