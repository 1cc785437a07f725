import NIOCore

/// What messages are read from: a connection that is asked for its next bytes.
package protocol ByteSource: Sendable {
    /// The next bytes; `nil` when the peer has sent all. Throws what broke the connection, or `TimedOut`.
    func read(within time: TimeAmount?) async throws -> ByteBuffer?
}

/// Nothing came within the time that was given for it.
package struct TimedOut: Error, CustomStringConvertible {
    package init() {}
    package var description: String { "nothing came in time" }
}

/// Reads HTTP/1.1 messages from a connection, one after the other. What is read and not used yet stays here for the next one.
package struct HTTPMessageReader<Source: ByteSource>: Sendable {
    package let stream: Source
    /// Read and not used yet.
    package private(set) var buffer: ByteBuffer

    package init(_ stream: Source, buffer: ByteBuffer = ByteBuffer()) {
        self.stream = stream
        self.buffer = buffer
    }

    /// The lines of the next head; `nil` when the peer has ended before it began. `idle` is the time for its first byte, `whole` for all of it
    /// after that, so that nobody holds a connection open by sending a byte now and then.
    package mutating func head(idle: TimeAmount, whole: TimeAmount) async throws -> [ArraySlice<UInt8>]? {
        var reader = HeadReader()
        var deadline: NIODeadline?
        while true {
            if buffer.readableBytes > 0 {
                if let (lines, rest) = try reader.feed(buffer.readableBytesView) {
                    // In memory of its own: TLS reads into the buffer that it gave out again, and copies all of it where somebody still holds it.
                    buffer = rest.isEmpty ? ByteBuffer() : ByteBuffer(bytes: rest)
                    return lines
                }
                buffer = ByteBuffer()
            }
            var time = idle
            if !reader.isEmpty {
                let end = deadline ?? .now() + whole
                deadline = end
                time = end - .now()
                guard time > .zero else { throw TimedOut() }
            }
            guard let more = try await stream.read(within: time) else {
                if reader.isEmpty { return nil }
                throw HTTPRefusal("the head ends early")
            }
            buffer = more
        }
    }

    /// The bytes up to the next newline, without it; `nil` when the peer has ended before that. Throws `HTTPRefusal` where there are more than `most`, and
    /// `TimedOut` where they are not there at `deadline`.
    package mutating func line(most: Int, until deadline: NIODeadline) async throws -> [UInt8]? {
        while true {
            let view = buffer.readableBytesView
            if let end = view.firstIndex(of: UInt8(ascii: "\n")), end - view.startIndex < most {
                let line = buffer.readBytes(length: end - view.startIndex)
                buffer.moveReaderIndex(forwardBy: 1)
                return line
            }
            guard buffer.readableBytes < most else { throw HTTPRefusal("a line has more than \(most) bytes") }
            let time = deadline - .now()
            guard time > .zero else { throw TimedOut() }
            guard let more = try await stream.read(within: time) else { return nil }
            buffer.writeImmutableBuffer(more)
        }
    }

    /// The next bytes of a body; `nil` when it is complete.
    package mutating func part(of body: inout BodyReader, within time: TimeAmount) async throws -> ByteBuffer? {
        while true {
            if let part = try body.next(&buffer) {
                if part.readableBytes > 0 { return part }
                continue
            }
            if body.isDone { return nil }
            guard let more = try await stream.read(within: time) else { return try Self.end(&body) }
            buffer = more
        }
    }

    // By itself, and not to be inlined: over an optimised `part` with this error in it the compiler of Swift 6.3 ends itself.
    @inline(never)
    private static func end(_ body: inout BodyReader) throws -> ByteBuffer? {
        try body.end()
        return nil
    }

    /// Bytes of a body that were read already, at most `most`; `nil` where there are none, or more.
    package mutating func ready(of body: inout BodyReader, most: Int = .max) throws(HTTPRefusal) -> ByteBuffer? {
        buffer.readableBytes <= most ? try body.next(&buffer) : nil
    }

    /// Takes what was read from the stream by somebody else.
    package mutating func append(_ more: ByteBuffer) { buffer.writeImmutableBuffer(more) }

    /// Reads until at least one byte is in the buffer; `false` at the end.
    package mutating func fill(within time: TimeAmount) async throws -> Bool {
        if buffer.readableBytes > 0 { return true }
        guard let more = try await stream.read(within: time) else { return false }
        buffer = more
        return true
    }

    /// All that is read and not used; the reader is empty afterwards.
    package mutating func takeBuffer() -> ByteBuffer {
        defer { buffer = ByteBuffer() }
        return buffer
    }
}
