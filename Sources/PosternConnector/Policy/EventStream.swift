/// Server-sent events (WHATWG HTML, section 9.2) cut into events, each with its bytes as they came. A value without I/O.
struct EventStream: Sendable {
    struct Event: Sendable, Hashable {
        /// With its empty line.
        var bytes: [UInt8]
        /// The values of its `data` lines, joined by line feeds; `nil` where it has none.
        var data: [UInt8]?
        /// Empty where it has no `event` line.
        var type: [UInt8] = []
        /// Its other lines, comments too, each with its end.
        var rest: [UInt8] = []
    }
    enum Problem: Error, Hashable {
        case tooLarge
        /// A byte at which some readers end a line and others do not, outside of data.
        case ambiguousLine
    }

    /// Bytes of one event.
    let limit: Int
    private var event = Event(bytes: [])
    private var line: [UInt8] = []
    /// The last byte was a CR: a line feed after it belongs to it.
    private var afterReturn = false
    private var isStart = true

    init(limit: Int) { self.limit = limit }

    /// The events that `bytes` completes. What comes after the last one is kept; at the end of the stream it is no event, and is dropped.
    mutating func feed(_ bytes: some Sequence<UInt8>) throws(Problem) -> [Event] {
        var events: [Event] = []
        for byte in bytes {
            if afterReturn {
                afterReturn = false
                if byte == 0x0A {
                    if !event.bytes.isEmpty {
                        event.bytes.append(byte)
                    } else if events.isEmpty {
                        // Its event has gone already.
                        events.append(Event(bytes: [byte]))
                    } else {
                        events[events.count - 1].bytes.append(byte)
                    }
                    continue
                }
            }
            event.bytes.append(byte)
            guard event.bytes.count <= limit else { throw .tooLarge }
            guard byte == 0x0A || byte == 0x0D else {
                line.append(byte)
                continue
            }
            afterReturn = byte == 0x0D
            if isStart, line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
            isStart = false
            defer { line.removeAll(keepingCapacity: true) }
            guard line.isEmpty else {
                try take(line)
                continue
            }
            events.append(event)
            event = Event(bytes: [])
        }
        return events
    }

    private mutating func take(_ line: [UInt8]) throws(Problem) {
        let colon = line.firstIndex(of: UInt8(ascii: ":"))
        let name = line[..<(colon ?? line.endIndex)]
        var value = colon.map { line[($0 + 1)...] } ?? []
        if value.first == 0x20 { value.removeFirst() }
        if name.elementsEqual("data".utf8) {
            if event.data == nil { event.data = Array(value) } else { event.data?.append(0x0A); event.data?.append(contentsOf: value) }
            return
        }
        guard !LineBreaks.stand(in: line) else { throw .ambiguousLine }
        if name.elementsEqual("event".utf8) { event.type = Array(value) }
        event.rest += line + [0x0A]
    }
}

/// Characters at which readers that go by Unicode's line ends (Python's `splitlines`) end a line of an event stream, and others do not: by them a
/// server could hide an event inside another one's text.
enum LineBreaks {
    private static let codes: [(bytes: [UInt8], escape: String)] = [
        ([0xC2, 0x85], "\\u0085"), ([0xE2, 0x80, 0xA8], "\\u2028"), ([0xE2, 0x80, 0xA9], "\\u2029"),
    ]
    private static let controls: Set<UInt8> = [0x0B, 0x0C, 0x1C, 0x1D, 0x1E]

    static func stand(in bytes: some Collection<UInt8>) -> Bool {
        if bytes.contains(where: controls.contains) { return true }
        guard bytes.contains(where: { $0 == 0xC2 || $0 == 0xE2 }) else { return false }
        let bytes = Array(bytes)
        return bytes.indices.contains { index in codes.contains { bytes[index...].starts(with: $0.bytes) } }
    }

    /// JSON text with them written as escapes: in valid JSON they stand in strings alone, and never behind a backslash.
    static func escaped(_ json: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(json.count)
        var index = 0
        while index < json.count {
            if let code = codes.first(where: { json[index...].starts(with: $0.bytes) }) {
                output += code.escape.utf8
                index += code.bytes.count
            } else {
                output.append(json[index])
                index += 1
            }
        }
        return output
    }
}
