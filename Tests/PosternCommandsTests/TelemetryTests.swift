import Logging
import PosternJSON
import PosternTelemetry
import Synchronization
import Testing

@Suite struct TelemetryTests {
    /// Collects what a writer writes.
    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ bytes: [UInt8]) { lines.withLock { $0.append(String(decoding: bytes, as: UTF8.self)) } }
    }

    private func written(_ format: LogFormat, isColoured: Bool = false, _ log: (Logger) -> Void) -> [String] {
        let lines = Lines()
        log(LogWriter(format: format, isColoured: isColoured) { lines.add($0) }.logger("test"))
        return lines.all
    }

    @Test func jsonLinesAreObjectsWithTheirMetadata() throws {
        let lines = written(.json) { $0.info("claimed", metadata: ["session_id": "sesn_1", "attempt": "\(2)", "time": "forged"]) }
        let line = try JSON(parsing: lines[0])
        #expect(lines.count == 1 && lines[0].hasSuffix("\n"))
        #expect(line["level"] == "info" && line["logger"] == "test" && line["message"] == "claimed" && line["session_id"] == "sesn_1")
        #expect(line["time"]?.string?.hasSuffix("Z") == true)
        #expect(line["metadata_time"] == "forged", "metadata does not replace the line's own fields")
    }

    @Test func textLinesCannotBeForged() {
        let lines = written(.text) { $0.warning("bad\nname", metadata: ["path": "a b\u{1B}[2J", "error": "x=\"y\""]) }
        #expect(lines.count == 1)
        let text = lines[0].dropLast()
        #expect(!text.contains("\n") && !text.contains("\u{1B}"))
        #expect(text.contains("warning  test: bad\\nname error=\"x=\\\"y\\\"\" path="))
    }

    @Test func belowItsLevelNothingIsWritten() { #expect(written(.text) { $0.debug("quiet") }.isEmpty) }

    @Test func metricsAreExposedAsPrometheusText() {
        let registry = MetricsRegistry()
        let counter = registry.counter("calls_total", help: "Calls\nmade.", labels: ["tool"])
        counter.increment(labels: ["bash"])
        counter.increment(by: 2, labels: ["re\"ad"])
        counter.increment(by: -5, labels: ["bash"])
        registry.gauge("open", help: "Open.") { 3 }
        registry.counter("spent_total", help: "Spent.") { 1.5 }
        let histogram = registry.histogram("seconds", help: "Time.", buckets: [0.1, 1])
        histogram.observe(.milliseconds(100))
        histogram.observe(.seconds(5))
        #expect(
            registry.rendered() == """
                # HELP calls_total Calls\\nmade.
                # TYPE calls_total counter
                calls_total{tool="bash"} 1
                calls_total{tool="re\\"ad"} 2
                # HELP open Open.
                # TYPE open gauge
                open 3
                # HELP seconds Time.
                # TYPE seconds histogram
                seconds_bucket{le="0.1"} 1
                seconds_bucket{le="1"} 1
                seconds_bucket{le="+Inf"} 2
                seconds_sum 5.1
                seconds_count 2
                # HELP spent_total Spent.
                # TYPE spent_total counter
                spent_total 1.5

                """)
    }

    @Test func labelsFromOutsideCannotFillTheMemory() {
        let registry = MetricsRegistry()
        let counter = registry.counter("requests_total", help: "Requests.", labels: ["path"])
        for number in 0..<10_000 { counter.increment(labels: ["/\(number)"]) }
        let text = registry.rendered()
        #expect(text.split(separator: "\n").count < 300)
        #expect(text.contains("requests_total{path=\"other\"} 9744\n"))
    }
}
