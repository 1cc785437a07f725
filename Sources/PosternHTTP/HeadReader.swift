/// Cuts the head of an HTTP/1 message (RFC 9112, section 2.1) out of what a connection delivers. A value without I/O.
///
/// Lines end in CRLF: a bare CR or LF, and a NUL, end the connection, because parsers disagree about them.
package struct HeadReader: Sendable {
    package static let maximumBytes = 65_536
    package static let maximumFields = 128

    private var bytes: [UInt8] = []
    private var scanned = 0

    package init() {}

    package var isEmpty: Bool { bytes.isEmpty }

    /// Takes the next bytes. The lines of the head without their ends, once it is whole; `rest` is what came after it.
    package mutating func feed(_ more: some Sequence<UInt8>) throws(HTTPRefusal) -> (lines: [ArraySlice<UInt8>], rest: ArraySlice<UInt8>)? {
        bytes.append(contentsOf: more)
        while scanned < bytes.count {
            switch bytes[scanned] {
            case 0: throw HTTPRefusal("the head holds a NUL")
            case 0x0A: throw HTTPRefusal("a line of the head ends in a bare LF")
            case 0x0D:
                guard scanned + 1 < bytes.count else { return try bounded() }
                guard bytes[scanned + 1] == 0x0A else { throw HTTPRefusal("the head holds a bare CR") }
                // An empty line before a request is not skipped: nobody who means well sends one.
                if scanned == 0 { throw HTTPRefusal("the head begins with an empty line") }
                if scanned >= 2, bytes[scanned - 1] == 0x0A {
                    let end = scanned
                    guard end <= Self.maximumBytes else { throw Self.tooLarge }
                    return (Self.lines(bytes[..<end]), bytes[(end + 2)...])
                }
                scanned += 2
            default: scanned += 1
            }
        }
        return try bounded()
    }

    private static let tooLarge = HTTPRefusal(431, "the head has more than \(maximumBytes) bytes")

    private func bounded() throws(HTTPRefusal) -> (lines: [ArraySlice<UInt8>], rest: ArraySlice<UInt8>)? {
        if bytes.count > Self.maximumBytes { throw Self.tooLarge }
        return nil
    }

    /// `head` ends with the CRLF of its last line; CR and LF stand only together.
    private static func lines(_ head: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        head.split(separator: 0x0A, omittingEmptySubsequences: true).map { $0.dropLast() }
    }

    /// The fields of a head, after its first line.
    package static func fields(_ lines: ArraySlice<ArraySlice<UInt8>>) throws(HTTPRefusal) -> HTTPFields {
        guard lines.count <= maximumFields else { throw HTTPRefusal(431, "the head has more than \(maximumFields) fields") }
        var fields = HTTPFields()
        for line in lines {
            guard let first = line.first, first != 0x20, first != 0x09 else { throw HTTPRefusal("a header field is folded over lines") }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else {
                throw HTTPRefusal("a header field has no name")
            }
            let name = line[..<colon]
            guard name.allSatisfy(HTTPText.isToken) else { throw HTTPRefusal("the name of a header field holds a byte that is not allowed") }
            let value = HTTPText.trimmed(line[(colon + 1)...])
            guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                throw HTTPRefusal("header \(String(decoding: name, as: UTF8.self)) holds a control byte")
            }
            fields.all.append(HTTPField(String(decoding: name, as: UTF8.self), Array(value)))
        }
        return fields
    }
}
