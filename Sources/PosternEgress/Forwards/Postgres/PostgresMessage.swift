import NIOCore

/// Building blocks of PostgreSQL messages.
enum PostgresMessage {
    /// A message of `type` around the body that `write` writes.
    static func make(_ type: UInt8, _ write: (inout ByteBuffer) -> Void) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(type)
        buffer.writeImmutableBuffer(untyped(write))
        return buffer
    }

    /// A length and the body that `write` writes: the form of what is sent before the session has begun.
    static func untyped(_ write: (inout ByteBuffer) -> Void) -> ByteBuffer {
        var body = ByteBuffer()
        write(&body)
        var buffer = ByteBuffer()
        buffer.writeInteger(UInt32(body.readableBytes + 4))
        buffer.writeBuffer(&body)
        return buffer
    }

    /// `R` with code 0: the session's user is who it says.
    static let authenticationOK = make(UInt8(ascii: "R")) { $0.writeInteger(UInt32(0)) }

    /// Tells a client that asks for a newer minor version, or for options of it, that 3.0 is spoken.
    static func negotiateVersion(unknownOptions: [String]) -> ByteBuffer {
        make(UInt8(ascii: "v")) { buffer in
            buffer.writeInteger(PostgresStartup.version3)
            buffer.writeInteger(UInt32(unknownOptions.count))
            for option in unknownOptions { buffer.writeNullTerminatedString(option) }
        }
    }

    static func backendKey(_ key: PostgresCancelKey) -> ByteBuffer {
        make(UInt8(ascii: "K")) { buffer in
            buffer.writeInteger(key.process)
            buffer.writeInteger(key.secret)
        }
    }

    static func cancelRequest(_ key: PostgresCancelKey) -> ByteBuffer {
        untyped { buffer in
            buffer.writeInteger(PostgresGreeting.cancelCode)
            buffer.writeInteger(key.process)
            buffer.writeInteger(key.secret)
        }
    }

    static let sslRequest = untyped { $0.writeInteger(PostgresGreeting.sslCode) }
}

/// What identifies a session to a CancelRequest.
struct PostgresCancelKey: Hashable, Sendable {
    var process: UInt32
    var secret: UInt32
}
