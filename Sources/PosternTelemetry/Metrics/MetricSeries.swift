import Synchronization

/// The values of one metric, one per combination of labels, bounded: label values that come from outside (paths, models) can not
/// fill the memory. Beyond the bound everything is counted under the value `other`.
final class MetricSeries<Value: Sendable>: Sendable {
    /// Combinations kept per metric.
    static var maximumSeries: Int { 256 }

    let labels: [String]
    private let initial: Value
    private let values = Mutex<[[String]: Value]>([:])

    init(labels: [String], initial: Value) {
        self.labels = labels
        self.initial = initial
    }

    /// Values beyond the label names are dropped, missing ones are empty.
    func update(_ values: [String], _ change: (inout Value) -> Void) {
        var key = Array(values.prefix(labels.count))
        key.append(contentsOf: repeatElement("", count: labels.count - key.count))
        self.values.withLock { stored in
            if stored[key] == nil, stored.count >= Self.maximumSeries { key = labels.map { _ in "other" } }
            change(&stored[key, default: initial])
        }
    }

    /// Sorted, so that the same values render the same text.
    func all() -> [(labels: [(String, String)], value: Value)] {
        let stored = values.withLock { $0 }
        if stored.isEmpty && labels.isEmpty { return [([], initial)] }
        return stored.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { (Array(zip(labels, $0.key)), $0.value) }
    }
}

extension MetricSeries where Value == Double {
    func samples(_ name: String) -> [MetricSample] {
        all().map { MetricSample(name: name, labels: $0.labels, value: $0.value) }
    }
}
