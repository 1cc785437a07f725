import Testing

@testable import PosternWorker

@Suite struct SessionBackoffTests {
    @Test func waitsLongerWithEachFailureUpToAMinute() {
        let backoff = SessionBackoff()
        let waits = (0..<10).map { _ in backoff.failed("s") }
        #expect(waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60].map { .seconds($0) })
        #expect(backoff.failed("another") == .zero)
    }

    @Test func forgetsWhatSucceeds() {
        let backoff = SessionBackoff()
        _ = backoff.failed("s")
        #expect(backoff.failed("s") == .seconds(1))
        backoff.succeeded("s")
        #expect(backoff.failed("s") == .zero)
    }
}
