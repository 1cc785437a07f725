import NIOCore

/// What a client says before its session begins: requests for encryption, which are declined, then a StartupMessage or a CancelRequest.
/// A value without I/O.
struct PostgresGreeting: Sendable {
    enum Action: Equatable {
        /// Answer `N`: no encryption towards the sandbox, whose loopback nobody else hears.
        case decline
        case start(PostgresStartup)
        /// End the other session of the client that was given this key.
        case cancel(PostgresCancelKey)
    }

    static let sslCode: UInt32 = 80_877_103
    static let gssCode: UInt32 = 80_877_104
    static let cancelCode: UInt32 = 80_877_102
    /// PostgreSQL's own bound (`MAX_STARTUP_PACKET_LENGTH`).
    static let longest = 10_000

    private var buffer = ByteBuffer()
    private var declined: Set<UInt32> = []

    mutating func append(_ bytes: ByteBuffer) {
        buffer.writeImmutableBuffer(bytes)
    }

    /// What follows the greeting: the client's first messages, if it did not wait.
    var rest: ByteBuffer { buffer }

    /// The next action, `nil` until more bytes come.
    mutating func next() throws(PostgresRefusal) -> Action? {
        let start = buffer.readerIndex
        guard let length: UInt32 = buffer.getInteger(at: start) else { return nil }
        guard length >= 8, length <= Self.longest else {
            if buffer.getInteger(at: start, as: UInt8.self) == 0x16 {
                throw PostgresRefusal(
                    code: "08P01", message: "postern: this forward is reached without TLS; the way out of the sandbox is encrypted by the proxy",
                    hint: "connect with sslmode=disable or sslmode=prefer, and without sslnegotiation=direct")
            }
            throw .protocolViolation("a first message of \(length) bytes; 8 to \(Self.longest) are allowed")
        }
        guard var packet = buffer.getSlice(at: start, length: Int(length)) else { return nil }
        buffer.moveReaderIndex(forwardBy: Int(length))
        packet.moveReaderIndex(forwardBy: 4)
        guard let code: UInt32 = packet.readInteger() else { throw .protocolViolation("a first message without a code") }
        switch code {
        case Self.sslCode, Self.gssCode:
            guard length == 8 else { throw .protocolViolation("a request for encryption of \(length) bytes") }
            guard declined.insert(code).inserted else { throw .protocolViolation("the same request for encryption twice") }
            return .decline
        case Self.cancelCode:
            guard length == 16, let process: UInt32 = packet.readInteger(), let secret: UInt32 = packet.readInteger() else {
                throw .protocolViolation("a cancel request of \(length) bytes")
            }
            return .cancel(PostgresCancelKey(process: process, secret: secret))
        case let version where version >> 16 == 3:
            return .start(try PostgresStartup(version: version, body: packet))
        default:
            throw PostgresRefusal(
                code: "0A000", message: "postern: protocol version \(code >> 16).\(code & 0xFFFF) is not spoken here", hint: "use protocol 3.0")
        }
    }
}
