/// Numbers with units, as people write them in a policy, and back.
package enum Quantity {
    /// Factors by name, the largest first; the first of equal ones is what is written.
    package static let byteUnits: [(name: String, factor: Int)] = [
        ("TiB", 1 << 40), ("TB", 1_000_000_000_000), ("GiB", 1 << 30), ("GB", 1_000_000_000), ("MiB", 1 << 20), ("MB", 1_000_000), ("KiB", 1 << 10),
        ("kB", 1000), ("B", 1),
    ]

    package static let timeUnits: [(name: String, factor: Int)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ]

    /// Bytes in `512MiB`, `10GB`, `4096B`; `nil` for anything else, a number without unit too.
    package static func bytes(_ text: String) -> Int? { amount(text, byteUnits) }

    /// Milliseconds in `500ms`, `30s`, `5m`, `2h`, `1d`.
    package static func milliseconds(_ text: String) -> Int? { amount(text, timeUnits) }

    /// The number in `150%`.
    package static func percent(_ text: String) -> Int? { amount(text, [("%", 1)]) }

    /// The shortest text that `bytes` reads as this number: binary units before decimal ones.
    package static func text(bytes: Int) -> String { text(bytes, byteUnits.filter { $0.factor & ($0.factor - 1) == 0 }) }

    package static func text(milliseconds: Int) -> String { text(milliseconds, timeUnits) }

    private static func text(_ value: Int, _ units: [(name: String, factor: Int)]) -> String {
        let unit = units.first { value != 0 && value.isMultiple(of: $0.factor) } ?? units.last
        return unit.map { "\(value / $0.factor)\($0.name)" } ?? "\(value)"
    }

    private static func amount(_ text: String, _ units: [(name: String, factor: Int)]) -> Int? {
        let digits = text.utf8.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard !digits.isEmpty, let number = Int(Substring(digits)) else { return nil }
        let unit = text.dropFirst(digits.count)
        guard let factor = units.first(where: { $0.name == unit })?.factor else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }
}
