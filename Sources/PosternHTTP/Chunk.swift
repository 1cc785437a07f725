import NIOCore

/// The chunked coding (RFC 9112, section 7.1), for writing.
package enum Chunk {
    package static func wrap(_ bytes: ByteBuffer) -> ByteBuffer {
        var output = ByteBuffer()
        output.reserveCapacity(bytes.readableBytes + 24)
        output.writeString(String(bytes.readableBytes, radix: 16))
        output.writeString("\r\n")
        output.writeImmutableBuffer(bytes)
        output.writeString("\r\n")
        return output
    }

    package static let last = ByteBuffer(string: "0\r\n\r\n")
}
