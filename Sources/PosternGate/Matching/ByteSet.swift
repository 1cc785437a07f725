/// A set of byte values.
package struct ByteSet: Sendable, Hashable {
    private var bits: SIMD4<UInt64> = .zero

    package init() {}

    package init(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { insert(byte) }
    }

    package init(_ range: ClosedRange<UInt8>) {
        for byte in range { insert(byte) }
    }

    /// The bytes of `text`, which is ASCII.
    package init(of text: String) { self.init(text.utf8) }

    package func contains(_ byte: UInt8) -> Bool { bits[Int(byte >> 6)] >> UInt64(byte & 63) & 1 == 1 }

    package mutating func insert(_ byte: UInt8) { bits[Int(byte >> 6)] |= 1 << UInt64(byte & 63) }

    package var isEmpty: Bool { bits == .zero }
    package var count: Int { bits[0].nonzeroBitCount + bits[1].nonzeroBitCount + bits[2].nonzeroBitCount + bits[3].nonzeroBitCount }
    package var inverted: ByteSet {
        var copy = self
        copy.bits = ~bits
        return copy
    }

    package func union(_ other: ByteSet) -> ByteSet {
        var copy = self
        copy.bits |= other.bits
        return copy
    }

    /// Both cases of every ASCII letter in the set.
    package var ignoringCase: ByteSet {
        var copy = self
        for lower in UInt8(ascii: "a")...UInt8(ascii: "z") where contains(lower) || contains(lower - 32) {
            copy.insert(lower)
            copy.insert(lower - 32)
        }
        return copy
    }

    /// The four words, lowest bytes first, for tables.
    var words: [UInt64] { [bits[0], bits[1], bits[2], bits[3]] }
}

extension ByteSet {
    package static let digits = ByteSet(UInt8(ascii: "0")...UInt8(ascii: "9"))
    package static let upper = ByteSet(UInt8(ascii: "A")...UInt8(ascii: "Z"))
    package static let lower = ByteSet(UInt8(ascii: "a")...UInt8(ascii: "z"))
    package static let letters = upper.union(lower)
    package static let alphanumeric = letters.union(digits)
    /// `\w`: letters, digits and the underscore.
    package static let word = alphanumeric.union(ByteSet(of: "_"))
    /// `\s`: space, tab, line feed, carriage return, vertical tab, form feed.
    package static let space = ByteSet([0x20, 0x09, 0x0A, 0x0D, 0x0B, 0x0C])
    /// Both alphabets of base64 (RFC 4648, sections 4 and 5), without padding.
    package static let base64 = alphanumeric.union(ByteSet(of: "+/-_"))
    package static let all = ByteSet(0...255)
}
