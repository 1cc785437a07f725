import NIOCore
import PosternHTTP
import PosternTLS

extension ByteStream: ByteSource {}

/// Reads HTTP/1.1 messages from a byte stream.
package typealias MessageReader = HTTPMessageReader<ByteStream>

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
