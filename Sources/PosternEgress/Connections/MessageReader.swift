import NIOCore
import PosternHTTP

/// What has been read of a body, and the reader that goes on behind it.
struct GatheredBody: Sendable {
    var reader: BodyReader
    var bytes = ByteBuffer()

    init(_ framing: BodyFraming) { reader = BodyReader(framing) }

    var isWhole: Bool { reader.isDone }
}

/// Reads HTTP messages from a connection, one after the other.
struct MessageReader: Sendable {
    let stream: ByteStream
    /// Read and not used yet.
    private(set) var buffer: ByteBuffer

    init(_ stream: ByteStream, buffer: ByteBuffer = ByteBuffer()) {
        self.stream = stream
        self.buffer = buffer
    }

    /// The lines of the next head; `nil` when the peer has ended before it began. `idle` is the time for its first byte, `whole` for all of it
    /// after that, so that nobody holds a connection open by sending a byte now and then.
    mutating func head(idle: TimeAmount, whole: TimeAmount) async throws -> [ArraySlice<UInt8>]? {
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

    /// The next bytes of a body; `nil` when it is complete.
    mutating func part(of body: inout BodyReader, within time: TimeAmount) async throws -> ByteBuffer? {
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

    /// The beginning of a body: all of it where it is complete within `time` and has at most `most` bytes, else what there is by then.
    mutating func gather(_ framing: BodyFraming, most: Int, within time: TimeAmount) async throws -> GatheredBody {
        var gathered = GatheredBody(framing)
        let deadline = NIODeadline.now() + time
        while gathered.bytes.readableBytes <= most {
            if let part = try gathered.reader.next(&buffer) {
                gathered.bytes.writeImmutableBuffer(part)
                continue
            }
            if gathered.isWhole { break }
            let rest = deadline - .now()
            guard rest > .zero else { break }
            guard let more = try await stream.poll(for: rest) else {
                try gathered.reader.end()
                break
            }
            buffer = more
        }
        return gathered
    }

    /// All that is read and not used; the reader is empty afterwards.
    mutating func takeBuffer() -> ByteBuffer {
        defer { buffer = ByteBuffer() }
        return buffer
    }

    /// Reads until at least one byte is in the buffer; `false` at the end.
    mutating func fill(within time: TimeAmount) async throws -> Bool {
        if buffer.readableBytes > 0 { return true }
        guard let more = try await stream.read(within: time) else { return false }
        buffer = more
        return true
    }
}
