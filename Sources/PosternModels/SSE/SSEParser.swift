/// Reads a stream of server-sent events (WHATWG HTML, section 9.2) from bytes that may be split anywhere. A value without I/O.
package struct SSEParser: Sendable {
    package struct Event: Sendable, Equatable {
        /// The `event` field; nil when there was none.
        package var name: String?
        /// The `data` fields, joined by line feeds.
        package var data: [UInt8]

        package init(name: String?, data: [UInt8]) {
            self.name = name
            self.data = data
        }
    }

    /// An event is larger than the parser may hold.
    package struct EventTooLarge: Error, Equatable {
        package var limit: Int

        package init(limit: Int) { self.limit = limit }
    }

    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")

    /// Bytes that one event may have, in all its lines together.
    private let limit: Int
    /// The start of a line whose end has not come yet.
    private var line: [UInt8] = []
    private var name: String?
    private var data: [UInt8]?
    /// Whether the last byte was a carriage return: a line feed after it belongs to it.
    private var endedWithReturn = false
    private var isFirstLine = true

    package init(limit: Int = 16 * 1024 * 1024) { self.limit = limit }

    /// Takes the next bytes and returns the events that they complete. An event without its blank line at the end of the stream is dropped,
    /// as the standard says.
    package mutating func parse(_ bytes: some Sequence<UInt8>) throws(EventTooLarge) -> [Event] {
        let done: Result<[Event], EventTooLarge>? = bytes.withContiguousStorageIfAvailable { parse($0) }
        if let done { return try done.get() }
        return try Array(bytes).withUnsafeBufferPointer { parse($0) }.get()
    }

    private mutating func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Result<[Event], EventTooLarge> {
        var events: [Event] = []
        var start = 0
        var position = 0
        if endedWithReturn, let first = bytes.first {
            if first == Self.lineFeed {
                start = 1
                position = 1
            }
            endedWithReturn = false
        }
        while position < bytes.count {
            let byte = bytes[position]
            guard byte == Self.lineFeed || byte == Self.carriageReturn else {
                position += 1
                continue
            }
            guard line.count + (position - start) + (data?.count ?? 0) <= limit else { return .failure(EventTooLarge(limit: limit)) }
            if line.isEmpty {
                take(line: bytes[start..<position], into: &events)
            } else {
                line.append(contentsOf: bytes[start..<position])
                let whole = line
                line.removeAll(keepingCapacity: true)
                whole.withUnsafeBufferPointer { take(line: $0[...], into: &events) }
            }
            position += 1
            if byte == Self.carriageReturn {
                if position == bytes.count {
                    endedWithReturn = true
                } else if bytes[position] == Self.lineFeed {
                    position += 1
                }
            }
            start = position
        }
        line.append(contentsOf: bytes[start...])
        guard line.count + (data?.count ?? 0) <= limit else { return .failure(EventTooLarge(limit: limit)) }
        return .success(events)
    }

    private mutating func take(line: Slice<UnsafeBufferPointer<UInt8>>, into events: inout [Event]) {
        var line = line
        if isFirstLine {
            isFirstLine = false
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line = line.dropFirst(3) }
        }
        guard !line.isEmpty else {
            if let data { events.append(Event(name: name, data: data)) }
            name = nil
            data = nil
            return
        }
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
        let field = line[..<colon]
        var value = line[colon...].dropFirst()
        if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
        if field.elementsEqual("data".utf8) {
            if data == nil {
                data = Array(value)
            } else {
                data?.append(Self.lineFeed)
                data?.append(contentsOf: value)
            }
        } else if field.elementsEqual("event".utf8) {
            name = value.isEmpty ? nil : String(decoding: value, as: UTF8.self)
        }
        // Comments, `id`, `retry` and unknown fields mean nothing to a model's answer.
    }
}
