import Foundation
import PosternStore
import Testing

/// Only on demand (`POSTERN_BENCHMARK=1`): figures depend on the disk and on what else runs.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_BENCHMARK"] != nil)) struct BenchmarkTests {
    @Test func appends() async throws {
        try await withFolder { folder in
            let report = try await StoreBenchmark.run(folder: folder)
            print(report)
            #expect(report.ratio >= 3)
        }
    }
}
