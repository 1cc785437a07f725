import PosternJSON

/// Token counts of the scripted model: four bytes are one token, whatever they say.
enum Tokens {
    /// An image costs as much, whatever its size, about as at the real service.
    static let image = 1_600

    static func count(bytes: Int) -> Int { (bytes + 3) / 4 }

    static func count(_ text: String) -> Int { count(bytes: text.utf8.count) }

    /// About the tokens of a JSON value, without encoding it.
    static func count(_ value: JSON) -> Int { count(bytes: size(of: value)) }

    private static func size(of value: JSON) -> Int {
        switch value {
        case .null, .bool: 4
        case .int, .double: 6
        case .bigNumber(let text): text.utf8.count
        case .string(let text): text.utf8.count + 2
        case .array(let elements): elements.reduce(2) { $0 + size(of: $1) + 1 }
        case .object(let object): object.keys.indices.reduce(2) { $0 + object.keys[$1].utf8.count + 4 + size(of: object.values[$1]) }
        }
    }

    /// `count` tokens of readable nonsense, always the same.
    static func text(_ count: Int) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * 4)
        for index in 0..<count { bytes.append(contentsOf: words[(index &* 7 + index / 5) % words.count]) }
        if !bytes.isEmpty { bytes[bytes.count - 1] = UInt8(ascii: ".") }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static let words: [[UInt8]] = [
        "the ", "sea ", "was ", "old ", "and ", "one ", "man ", "saw ", "her ", "big ", "red ", "box ", "far ", "out ", "his ", "dog ", "ran ",
    ].map { Array($0.utf8) }
}
