import PosternJSON

/// One line of the bench's table: our samples, and what they are held against in the same run.
struct BenchRow: Sendable {
    var name: String
    /// `ms`, `µs` or `MB/s`.
    var unit: String
    var samples: [Double]
    var peerName: String
    var peer: [Double]
    /// `faster`: peer / own must be at least the floor. `cost`: own / peer, at most the floor.
    var sense: String
    var floor: Double?
    var aim: Double?
    var note = ""

    var json: JSON {
        [
            "name": .string(name), "unit": .string(unit), "samples": .array(samples.map(JSON.double)), "peer_name": .string(peerName),
            "peer": .array(peer.map(JSON.double)), "sense": .string(sense), "floor": floor.map(JSON.double) ?? .null,
            "aim": aim.map(JSON.double) ?? .null,
            "note": .string(note),
        ]
    }

    var line: String {
        let own = Self.median(samples)
        guard !peer.isEmpty else {
            return "\(name): \(Self.rounded(own)) \(unit)" + [peerName, note].filter { !$0.isEmpty }.map { "; \($0)" }.joined()
        }
        let other = Self.median(peer)
        let ratio = own > 0 && other > 0 ? (sense == "faster" ? other / own : own / other) : 0
        return "\(name): \(Self.rounded(own)) \(unit); \(peerName): \(Self.rounded(other)) \(unit); ratio \(Self.rounded(ratio))"
    }

    static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        return values.sorted()[(values.count - 1) / 2]
    }

    private static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
}
