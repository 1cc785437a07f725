import PosternGate
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Only on demand (`POSTERN_BENCHMARK=1`), and only of use in a release build.
@Suite(.enabled(if: getenv("POSTERN_BENCHMARK") != nil)) struct RedactionBenchmarkTests {
    @Test func throughput() throws {
        let report = try RedactionBenchmark.run()
        print(report)
        #expect(report.plain >= 200)
    }
}
