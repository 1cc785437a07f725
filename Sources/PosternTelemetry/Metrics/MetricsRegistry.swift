import Synchronization

/// The metrics of one process, rendered as Prometheus text. Constructor-injected, never global: two servers in one test process
/// do not add up.
package final class MetricsRegistry: Sendable {
    private let families = Mutex<[Family]>([])

    private struct Family {
        var name: String
        var help: String
        var kind: String
        var read: @Sendable () -> [MetricSample]
    }

    package init() {}

    /// A value that only grows. By Prometheus's rule the name ends in `_total`.
    package func counter(_ name: String, help: String, labels: [String] = []) -> Counter {
        let counter = Counter(labels: labels)
        add(name, help, "counter") { counter.series.samples(name) }
        return counter
    }

    /// A counter whose value is asked for when the metrics are read; for sums that somebody keeps anyway, such as the kernel.
    package func counter(_ name: String, help: String, read: @escaping @Sendable () -> Double) {
        add(name, help, "counter") { [MetricSample(name: name, labels: [], value: read())] }
    }

    package func gauge(_ name: String, help: String, labels: [String] = []) -> Gauge {
        let gauge = Gauge(labels: labels)
        add(name, help, "gauge") { gauge.series.samples(name) }
        return gauge
    }

    /// A gauge whose value is asked for when the metrics are read; for numbers that somebody keeps anyway.
    package func gauge(_ name: String, help: String, read: @escaping @Sendable () -> Double) {
        add(name, help, "gauge") { [MetricSample(name: name, labels: [], value: read())] }
    }

    /// The same, one value for each combination of labels.
    package func gauge(
        _ name: String, help: String, labels: [String], read: @escaping @Sendable () -> [(labels: [String], value: Double)]
    ) {
        add(name, help, "gauge") { read().map { MetricSample(name: name, labels: Array(zip(labels, $0.labels)), value: $0.value) } }
    }

    /// - Parameter buckets: upper bounds, ascending, without infinity. Durations are in seconds.
    package func histogram(_ name: String, help: String, labels: [String] = [], buckets: [Double] = Histogram.durations) -> Histogram {
        let histogram = Histogram(labels: labels, buckets: buckets)
        add(name, help, "histogram") { histogram.samples(name) }
        return histogram
    }

    private func add(_ name: String, _ help: String, _ kind: String, _ read: @escaping @Sendable () -> [MetricSample]) {
        families.withLock { families in
            // The same name twice would be an invalid exposition; the later one wins, so that a part can be rebuilt in place.
            families.removeAll { $0.name == name }
            families.append(Family(name: name, help: help, kind: kind, read: read))
        }
    }

    /// The content type of `rendered()`.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// The text exposition format 0.0.4.
    package func rendered() -> String {
        let families = families.withLock { $0 }
        var text = ""
        for family in families.sorted(by: { $0.name < $1.name }) {
            text += "# HELP \(family.name) \(family.help.escapedForHelp)\n# TYPE \(family.name) \(family.kind)\n"
            for sample in family.read() { text += sample.line }
        }
        return text
    }
}

/// One line of the exposition.
struct MetricSample {
    var name: String
    var labels: [(String, String)]
    var value: Double

    var line: String {
        let labels = labels.map { "\($0)=\"\($1.escapedForLabel)\"" }.joined(separator: ",")
        return name + (labels.isEmpty ? "" : "{\(labels)}") + " \(value.exposition)\n"
    }
}

extension Double {
    var exposition: String {
        if self == .infinity { return "+Inf" }
        if self == -.infinity { return "-Inf" }
        if isNaN { return "NaN" }
        return Int64(exactly: self).map(String.init) ?? description
    }
}

extension String {
    fileprivate var escapedForHelp: String { replacing("\\", with: "\\\\").replacing("\n", with: "\\n") }
    fileprivate var escapedForLabel: String { escapedForHelp.replacing("\"", with: "\\\"") }
}
