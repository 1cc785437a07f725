/// One event of a stream of server-sent events (WHATWG HTML, section 9.2.6).
package struct ServerSentEvent: Sendable, Equatable {
    /// The `event` field; nil when the event had none or an empty one, which the standard does not tell apart.
    package var name: String?
    /// The `data` fields, joined by line feeds. May be empty: the standard drops such an event, readers here decide for themselves.
    package var data: [UInt8]
    /// The last `id` field of the stream so far, to be sent as `Last-Event-ID`; nil when no event has carried one.
    package var lastEventID: String?

    package init(name: String?, data: [UInt8], lastEventID: String? = nil) {
        self.name = name
        self.data = data
        self.lastEventID = lastEventID
    }
}

/// Reads a stream of server-sent events (WHATWG HTML, section 9.2) from bytes that may be split anywhere. A value without I/O that holds at
/// most one unfinished event.
package struct ServerSentEventParser: Sendable {
    /// An event is larger than the parser may hold. The stream cannot be read on.
    package struct EventTooLarge: Error, Sendable, Equatable, CustomStringConvertible {
        /// In bytes.
        package var limit: Int

        package init(limit: Int) { self.limit = limit }
        package var description: String { "an event is larger than \(limit) bytes" }
    }

    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
    /// Room for unfinished lines that is kept from one to the next, in bytes.
    private static let keptCapacity = 1 << 16

    private let limit: Int
    /// The start of a line whose end has not come yet.
    private var line: [UInt8] = []
    private var name: String?
    private var data: [UInt8]?
    /// Whether the last byte was a carriage return: a line feed after it belongs to it.
    private var endedWithReturn = false
    private var isFirstLine = true
    /// The last `id` field, kept from event to event; nil before the first.
    package private(set) var lastEventID: String?
    /// The last `retry` field: how long to wait before connecting again, in milliseconds; nil before the first.
    package private(set) var retryMilliseconds: Int?

    /// - Parameter limit: most bytes that the lines of one event may hold together, and that the parser keeps.
    package init(limit: Int) { self.limit = limit }

    /// Takes the next bytes and returns the events that they complete. An event without its blank line at the end of the stream is dropped,
    /// as the standard says, and so is one without a `data` field.
    package mutating func parse(_ bytes: some Sequence<UInt8>) throws(EventTooLarge) -> [ServerSentEvent] {
        let done: Result<[ServerSentEvent], EventTooLarge>? = bytes.withContiguousStorageIfAvailable { parse($0) }
        if let done { return try done.get() }
        return try Array(bytes).withUnsafeBufferPointer { parse($0) }.get()
    }

    private mutating func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Result<[ServerSentEvent], EventTooLarge> {
        var events: [ServerSentEvent] = []
        var start = 0
        if endedWithReturn, let first = bytes.first {
            if first == Self.lineFeed { start = 1 }
            endedWithReturn = false
        }
        var position = start
        while position < bytes.count {
            let byte = bytes[position]
            guard byte == Self.lineFeed || byte == Self.carriageReturn else {
                position += 1
                continue
            }
            guard line.count + (position - start) + (data?.count ?? 0) <= limit else { return .failure(EventTooLarge(limit: limit)) }
            if line.isEmpty {
                take(bytes[start..<position], into: &events)
            } else {
                var whole: [UInt8] = []
                swap(&whole, &line)
                whole.append(contentsOf: bytes[start..<position])
                whole.withUnsafeBufferPointer { take($0[...], into: &events) }
                whole.removeAll(keepingCapacity: whole.count <= Self.keptCapacity)
                swap(&whole, &line)
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

    /// Takes one whole line without its end.
    private mutating func take(_ line: Slice<UnsafeBufferPointer<UInt8>>, into events: inout [ServerSentEvent]) {
        var line = line
        if isFirstLine {
            isFirstLine = false
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line = line.dropFirst(3) }
        }
        guard !line.isEmpty else {
            if let data { events.append(ServerSentEvent(name: name, data: data, lastEventID: lastEventID)) }
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
        } else if field.elementsEqual("id".utf8) {
            if !value.contains(0) { lastEventID = String(decoding: value, as: UTF8.self) }
        } else if field.elementsEqual("retry".utf8), let time = Self.digits(value) {
            retryMilliseconds = time
        }
        // What is left are comments, which have an empty name, and fields that nobody knows.
    }

    /// ASCII digits alone, as the standard wants `retry`: no sign, no space. Nil also for what does not fit.
    private static func digits(_ value: Slice<UnsafeBufferPointer<UInt8>>) -> Int? {
        guard value.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        return Int(String(decoding: value, as: UTF8.self))
    }
}
