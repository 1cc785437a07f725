/// Cuts the output of a stdio server into lines (transports, "stdio": messages are separated by line feeds and hold none). A value without I/O that
/// holds at most one unfinished line.
package struct LineReader: Sendable {
    package struct LineTooLong: Error, Sendable, Equatable {
        /// In bytes.
        package var limit: Int
    }

    private let limit: Int
    private var line: [UInt8] = []

    /// - Parameter limit: most bytes of a line.
    package init(limit: Int) { self.limit = limit }

    /// Takes the next bytes and returns the lines that they complete, without their ends; empty ones are left out. A carriage return before the
    /// line feed belongs to the end.
    package mutating func read(_ bytes: [UInt8]) throws(LineTooLong) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            try keep(rest[..<end])
            rest = rest[(end + 1)...]
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            if !line.isEmpty { lines.append(line) }
            line = []
        }
        try keep(rest)
        return lines
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>) throws(LineTooLong) {
        guard line.count + bytes.count <= limit else { throw LineTooLong(limit: limit) }
        line.append(contentsOf: bytes)
    }
}
