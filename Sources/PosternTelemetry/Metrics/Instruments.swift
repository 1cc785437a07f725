/// A value that only grows.
package final class Counter: Sendable {
    let series: MetricSeries<Double>

    init(labels: [String]) { series = MetricSeries(labels: labels, initial: 0) }

    /// Negative amounts are ignored: a counter that falls reads as a restart.
    package func increment(by amount: Double = 1, labels: [String] = []) {
        guard amount >= 0 else { return }
        series.update(labels) { $0 += amount }
    }

    /// What has been counted in all, whatever the labels.
    package var total: Double { series.all().reduce(0) { $0 + $1.value } }
}

/// A value that rises and falls.
package final class Gauge: Sendable {
    let series: MetricSeries<Double>

    init(labels: [String]) { series = MetricSeries(labels: labels, initial: 0) }

    package func set(_ value: Double, labels: [String] = []) { series.update(labels) { $0 = value } }
    package func increment(by amount: Double = 1, labels: [String] = []) { series.update(labels) { $0 += amount } }
    package func decrement(by amount: Double = 1, labels: [String] = []) { series.update(labels) { $0 -= amount } }

    /// The sum over all labels.
    package var total: Double { series.all().reduce(0) { $0 + $1.value } }
}

/// Counts of values by size.
package final class Histogram: Sendable {
    /// Bounds for durations in seconds, from a warm tool call to a long model request.
    package static let durations: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
    ]

    struct State: Sendable {
        var counts: [Int]
        var sum = 0.0
    }

    private let buckets: [Double]
    private let series: MetricSeries<State>

    init(labels: [String], buckets: [Double]) {
        self.buckets = buckets
        series = MetricSeries(labels: labels, initial: State(counts: Array(repeating: 0, count: buckets.count + 1)))
    }

    package func observe(_ value: Double, labels: [String] = []) {
        let index = buckets.firstIndex { value <= $0 } ?? buckets.count
        series.update(labels) { state in
            state.counts[index] += 1
            state.sum += value
        }
    }

    package func observe(_ duration: Duration, labels: [String] = []) { observe(duration / .seconds(1), labels: labels) }

    /// Observations in all, whatever the labels.
    package var count: Int { series.all().reduce(0) { $0 + $1.value.counts.reduce(0, +) } }

    func samples(_ name: String) -> [MetricSample] {
        series.all().flatMap { labels, state -> [MetricSample] in
            var total = 0
            var lines: [MetricSample] = []
            for (bound, count) in zip(buckets + [.infinity], state.counts) {
                total += count
                lines.append(MetricSample(name: name + "_bucket", labels: labels + [("le", bound.exposition)], value: Double(total)))
            }
            lines.append(MetricSample(name: name + "_sum", labels: labels, value: state.sum))
            lines.append(MetricSample(name: name + "_count", labels: labels, value: Double(total)))
            return lines
        }
    }
}
