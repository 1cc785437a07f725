/// One frame of a stream (HTML Living Standard, section 9.2).
package struct ServerSentEvent: Sendable, Equatable {
    /// The `event:` field; `nil` if the frame had none.
    package var name: String?
    package var data: [UInt8]
    /// The last `id:` seen on the stream so far.
    package var lastEventID: String?

    package init(name: String?, data: [UInt8], lastEventID: String?) {
        self.name = name
        self.data = data
        self.lastEventID = lastEventID
    }
}

/// Takes an SSE stream apart, whatever the chunks it comes in. A value without I/O; holds at most one unfinished frame.
package struct ServerSentEventParser: Sendable {
    package struct FrameTooLarge: Error, Sendable, Equatable, CustomStringConvertible {
        package var limit: Int
        package var description: String { "a frame is larger than \(limit) bytes" }
    }

    private let limit: Int
    private var line: [UInt8] = []
    private var data: [UInt8] = []
    private var hasData = false
    private var name: String?
    /// The last `id:` field, kept across frames.
    package private(set) var lastEventID: String?
    /// The last `retry:` field, milliseconds.
    package private(set) var retryMilliseconds: Int?
    private var skipsLineFeed = false
    private var isAtStart = true

    /// `limit` bounds the bytes of one frame.
    package init(limit: Int) { self.limit = limit }

    /// The frames that these bytes complete. A frame without data is none.
    package mutating func push(_ bytes: [UInt8]) throws(FrameTooLarge) -> [ServerSentEvent] {
        var frames: [ServerSentEvent] = []
        var start = bytes.startIndex
        var index = start
        if skipsLineFeed, let first = bytes.first {
            skipsLineFeed = false
            if first == 0x0A {
                start += 1
                index += 1
            }
        }
        while index < bytes.endIndex {
            let byte = bytes[index]
            guard byte == 0x0A || byte == 0x0D else {
                index += 1
                continue
            }
            line += bytes[start..<index]
            if let frame = endLine() { frames.append(frame) }
            index += 1
            if byte == 0x0D {
                if index == bytes.endIndex { skipsLineFeed = true } else if bytes[index] == 0x0A { index += 1 }
            }
            start = index
            if data.count > limit { throw FrameTooLarge(limit: limit) }
        }
        line += bytes[start...]
        if line.count + data.count > limit { throw FrameTooLarge(limit: limit) }
        return frames
    }

    private mutating func endLine() -> ServerSentEvent? {
        defer { line.removeAll(keepingCapacity: true) }
        if isAtStart {
            isAtStart = false
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
        }
        if line.isEmpty {
            defer {
                data = []
                hasData = false
                name = nil
            }
            return hasData ? ServerSentEvent(name: name, data: data, lastEventID: lastEventID) : nil
        }
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
        guard colon > line.startIndex else { return nil }  // a comment
        var value = colon == line.endIndex ? [] : line[(colon + 1)...]
        if value.first == 0x20 { value.removeFirst() }
        switch String(decoding: line[..<colon], as: UTF8.self) {
        case "data":
            if hasData { data.append(0x0A) }
            data += value
            hasData = true
        case "event": name = String(decoding: value, as: UTF8.self)
        case "id" where !value.contains(0): lastEventID = String(decoding: value, as: UTF8.self)
        case "retry": retryMilliseconds = Int(String(decoding: value, as: UTF8.self)) ?? retryMilliseconds
        default: break
        }
        return nil
    }
}
