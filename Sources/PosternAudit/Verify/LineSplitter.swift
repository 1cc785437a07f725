/// Cuts bytes that come in pieces into lines. Bounded: what is longer than any record is cut where it is.
package struct LineSplitter: Sendable {
    /// Longest line that is kept whole, bytes.
    package static let maximumLine = 16 << 20

    /// What came after the last newline.
    package private(set) var rest: [UInt8] = []

    package init() {}

    package mutating func feed(_ piece: ArraySlice<UInt8>, _ line: ([UInt8]) -> Void) {
        var start = piece.startIndex
        while let newline = piece[start...].firstIndex(of: 0x0A) {
            if rest.isEmpty {
                line(Array(piece[start..<newline]))
            } else {
                rest += piece[start..<newline]
                line(rest)
                rest.removeAll(keepingCapacity: true)
            }
            start = newline + 1
        }
        rest += piece[start...]
        if rest.count > Self.maximumLine {
            line(rest)
            rest = []
        }
    }
}
