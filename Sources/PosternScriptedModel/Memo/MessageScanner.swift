/// Finds where the messages of a request end in its bytes, without reading what is in them. The bytes must be valid JSON.
struct MessageScanner {
    private let bytes: [UInt8]
    private var position: Int
    private var depth: Int
    private var isInMessages: Bool

    /// From the beginning of a request.
    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
        depth = 0
        isInMessages = false
    }

    /// From the end of one of its messages.
    init(_ bytes: [UInt8], afterMessageAt position: Int) {
        self.bytes = bytes
        self.position = position
        depth = 2
        isInMessages = true
    }

    /// The offset behind the `count`th message from where the scanner stands; nil when there are fewer.
    mutating func end(ofMessages count: Int) -> Int? {
        bytes.withUnsafeBufferPointer { bytes in
            var position = position
            var remaining = count
            defer { self.position = position }
            while position < bytes.count {
                switch bytes[position] {
                case UInt8(ascii: "\""):
                    let start = position + 1
                    position = Self.endOfString(bytes, from: start)
                    if depth == 1, !isInMessages, bytes[start..<position].elementsEqual("messages".utf8), Self.isKey(bytes, endingAt: position) {
                        isInMessages = true
                    }
                case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"):
                    depth -= 1
                    guard isInMessages else { break }
                    if depth == 1 { return nil }
                    if depth == 2 {
                        remaining -= 1
                        if remaining == 0 {
                            position += 1
                            return position
                        }
                    }
                default: break
                }
                position += 1
            }
            return nil
        }
    }

    /// The offset of the closing quotation mark.
    private static func endOfString(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var position = start
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") { return position }
            position += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        return bytes.count
    }

    private static func isKey(_ bytes: UnsafeBufferPointer<UInt8>, endingAt quote: Int) -> Bool {
        var position = quote + 1
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
        return position < bytes.count && bytes[position] == UInt8(ascii: ":")
    }
}
