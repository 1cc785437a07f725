import PosternJSON

/// One message of a control socket: a JSON object behind its length as four bytes, big-endian, and the descriptors that came with it.
/// The member `descriptors` says how many of them are the message's own.
package struct ControlMessage: Sendable {
    package var body: JSON
    /// Whoever takes the message owns these.
    package var descriptors: [Int32]

    package init(_ body: JSON, descriptors: [Int32] = []) {
        self.body = body
        self.descriptors = descriptors
    }
}

package struct FrameError: Error, CustomStringConvertible {
    package var description: String
}

/// Cuts what a control socket delivers into messages. A value without I/O; the peer is not trusted with anything but its own session.
package struct FrameReader: Sendable {
    /// Larger messages are refused: bulk travels as a descriptor.
    package var maximumLength: Int
    /// A peer that sends descriptors without messages is cut off.
    private static let mostUnclaimed = 64
    private var bytes: [UInt8] = []
    private var start = 0
    private var descriptors: [Int32] = []

    package init(maximumLength: Int) {
        self.maximumLength = maximumLength
    }

    /// Takes what one receive brought. Descriptors arrive with or before the first byte of the message that claims them.
    package mutating func append(_ received: UnsafeRawBufferPointer, descriptors: some Sequence<Int32>) {
        if start > 0, start == bytes.count || start > 1 << 20 {
            bytes.removeSubrange(..<start)
            start = 0
        }
        bytes.append(contentsOf: received)
        self.descriptors.append(contentsOf: descriptors)
    }

    /// The next whole message, `nil` until there is one.
    package mutating func next() throws(FrameError) -> ControlMessage? {
        guard descriptors.count <= Self.mostUnclaimed else { throw FrameError(description: "descriptors came that no message claims") }
        guard bytes.count - start >= 4 else { return nil }
        let length = bytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
        guard length <= maximumLength else { throw FrameError(description: "message of \(length) bytes, at most \(maximumLength) are allowed") }
        guard bytes.count - start >= 4 + length else { return nil }
        let body: JSON
        do {
            body = try JSON(parsing: bytes[start + 4..<start + 4 + length])
        } catch {
            throw FrameError(description: "\(error)")
        }
        start += 4 + length
        let count = body["descriptors"]?.int ?? 0
        guard count >= 0, count <= descriptors.count else {
            throw FrameError(description: "message claims \(count) descriptors, \(descriptors.count) came")
        }
        let own = Array(descriptors.prefix(count))
        descriptors.removeFirst(count)
        return ControlMessage(body, descriptors: own)
    }

    /// Descriptors that no message has claimed, to be closed with the socket.
    package mutating func unclaimed() -> [Int32] {
        defer { descriptors = [] }
        return descriptors
    }
}

/// Holds messages until a control socket takes them. A value without I/O.
package struct FrameWriter: Sendable {
    private struct Pending {
        var bytes: [UInt8]
        var descriptors: [Int32]
        var sent = 0
    }
    private var queue: [Pending] = []

    package init() {}

    package var isEmpty: Bool { queue.isEmpty }

    /// Queues `message`. Its descriptors are given back by `flush` once they are sent.
    package mutating func append(_ message: ControlMessage) {
        var body = message.body
        if !message.descriptors.isEmpty, var object = body.object {
            object["descriptors"] = JSON(message.descriptors.count)
            body = .object(object)
        }
        var bytes: [UInt8] = [0, 0, 0, 0]
        body.write(to: &bytes)
        let length = bytes.count - 4
        for index in 0..<4 { bytes[index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * index)) }
        queue.append(Pending(bytes: bytes, descriptors: message.descriptors))
    }

    /// Sends until `send` takes no more. `send` answers how many bytes it took, 0 when it would block. Returns the descriptors that
    /// are sent and may be closed.
    package mutating func flush(_ send: (UnsafeRawBufferPointer, [Int32]) -> Int) -> [Int32] {
        var done: [Int32] = []
        while let first = queue.first {
            let sent = first.bytes.withUnsafeBytes { buffer in
                send(UnsafeRawBufferPointer(rebasing: buffer[first.sent...]), first.descriptors)
            }
            guard sent > 0 else { break }
            // Descriptors travel with the first byte.
            done.append(contentsOf: first.descriptors)
            queue[0].descriptors = []
            queue[0].sent += sent
            if queue[0].sent == first.bytes.count { queue.removeFirst() }
        }
        return done
    }

    /// Descriptors of messages that were never sent, to be closed with the socket.
    package mutating func unsent() -> [Int32] {
        defer { queue = [] }
        return queue.flatMap(\.descriptors)
    }
}
