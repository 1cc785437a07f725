import NIOCore
import PosternHTTP
import PosternTunnelWire

/// Reads HTTP/1.1 messages, and the ClientHello before them, from a byte stream.
package struct MessageReader: Sendable {
    package let stream: ByteStream
    /// Read and not used yet.
    package private(set) var buffer: ByteBuffer

    package init(_ stream: ByteStream, buffer: ByteBuffer = ByteBuffer()) {
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
                let piece = buffer.readBytes(length: buffer.readableBytes) ?? []
                if let (lines, rest) = try reader.feed(piece) {
                    buffer = ByteBuffer(bytes: rest)
                    return lines
                }
            }
            let time: TimeAmount
            if reader.isEmpty {
                time = idle
            } else {
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
            guard let more = try await stream.read(within: time) else {
                try body.end()
                return nil
            }
            buffer = more
        }
    }

    /// Bytes of a body that were read already, at most `most`; `nil` where there are none, or more.
    package mutating func ready(of body: inout BodyReader, most: Int) throws(HTTPRefusal) -> ByteBuffer? {
        buffer.readableBytes <= most ? try body.next(&buffer) : nil
    }

    /// All that is read and not used; the reader is empty afterwards.
    package mutating func takeBuffer() -> ByteBuffer {
        defer { buffer = ByteBuffer() }
        return buffer
    }
}

extension ByteStream {
    /// Reads a ClientHello and gives it with the bytes that it stood in, which a handshake needs again. `nil` when the peer has ended before
    /// it was complete. Throws `ClientHelloError`, or `TimedOut` when it is not complete within `time`.
    /// - Parameter early: what was read already.
    package func clientHello(within time: TimeAmount, early: ByteBuffer? = nil) async throws -> (hello: ClientHello, bytes: ByteBuffer)? {
        var reader = ClientHelloReader()
        var seen = ByteBuffer()
        var early = early
        let deadline = NIODeadline.now() + time
        while true {
            let more: ByteBuffer
            if let given = early {
                more = given
                early = nil
            } else {
                let rest = deadline - .now()
                guard rest > .zero else { throw TimedOut() }
                guard let read = try await read(within: rest) else { return nil }
                more = read
            }
            let hello = try reader.feed(more.readableBytesView)
            seen.writeImmutableBuffer(more)
            if let hello { return (hello, seen) }
        }
    }
}
