import NIOCore
import PosternHTTP

extension ByteStream: ByteSource {}

/// Reads HTTP/1.1 messages from a connection.
typealias MessageReader = HTTPMessageReader<ByteStream>

/// What has been read of a body, and the reader that goes on behind it.
struct GatheredBody: Sendable {
    var reader: BodyReader
    var bytes = ByteBuffer()

    init(_ framing: BodyFraming) { reader = BodyReader(framing) }

    var isWhole: Bool { reader.isDone }
}

extension MessageReader {
    /// The beginning of a body: all of it where it is complete within `time` and has at most `most` bytes, else what there is by then.
    mutating func gather(_ framing: BodyFraming, most: Int, within time: TimeAmount) async throws -> GatheredBody {
        var gathered = GatheredBody(framing)
        let deadline = NIODeadline.now() + time
        while gathered.bytes.readableBytes <= most {
            if let part = try ready(of: &gathered.reader) {
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
            append(more)
        }
        return gathered
    }
}
