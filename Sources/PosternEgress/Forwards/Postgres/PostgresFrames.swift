import NIOCore

/// Cuts one direction of a PostgreSQL session (PostgreSQL documentation, "Message Formats") into what is looked at and what only
/// passes. A value without I/O; the bytes come from a party that is not trusted.
///
/// A message is one byte of type, a length of four bytes that counts itself, and the body. Messages of a type in `held` are given whole,
/// bounded by `longestHeld`; all others pass as they come, so that a row or a COPY of a gigabyte is never in memory.
struct PostgresFrames: Sendable {
    enum Piece: Equatable {
        /// Bytes of messages that need no look. `noted` holds the types, in order, of those of `Rules.noted` that began in them.
        case pass(ByteBuffer, noted: [UInt8])
        /// One whole message, its head included.
        case held(type: UInt8, message: ByteBuffer)
    }

    /// Types of messages: those that may come at all, those that are held, those whose beginning is noted.
    struct Rules: Sendable {
        var allowed: Set<UInt8>
        var held: Set<UInt8>
        var noted: Set<UInt8> = []
        /// Bytes of a held message, its type left out.
        var longestHeld: Int
    }

    /// PostgreSQL's own bound of a message (`MaxAllocSize`).
    static let longestMessage = 0x3FFF_FFFF
    static let headLength = 5

    /// May change between messages.
    var rules: Rules
    private var buffer = ByteBuffer()
    /// Bytes of the message that is passing and has not come yet.
    private(set) var passing = 0

    init(_ rules: Rules) {
        self.rules = rules
    }

    mutating func append(_ bytes: ByteBuffer) {
        var bytes = bytes
        if buffer.readableBytes == 0 { buffer = bytes } else { buffer.writeBuffer(&bytes) }
    }

    /// Bytes that are kept until more come.
    var waiting: Int { buffer.readableBytes }

    /// The next piece, `nil` until more bytes come. After an error the stream is of no use any more.
    mutating func next() throws(PostgresRefusal) -> Piece? {
        let start = buffer.readerIndex
        var end = start
        var noted: [UInt8] = []
        func available() -> Int { buffer.writerIndex - end }
        while available() > 0 {
            if passing > 0 {
                let count = min(passing, available())
                passing -= count
                end += count
                continue
            }
            guard available() >= Self.headLength, let type: UInt8 = buffer.getInteger(at: end), let length: UInt32 = buffer.getInteger(at: end + 1)
            else { break }
            guard rules.allowed.contains(type) else { throw .protocolViolation("a message of type \(Self.name(type)) has no place here") }
            guard length >= 4, length <= Self.longestMessage else {
                throw .protocolViolation("a message of type \(Self.name(type)) says that it has \(length) bytes")
            }
            guard rules.held.contains(type) else {
                if rules.noted.contains(type) { noted.append(type) }
                passing = Int(length) + 1
                continue
            }
            // What passes before it goes first.
            if end > start { break }
            guard length <= rules.longestHeld else { throw .tooLarge(type: type, length: Int(length), limit: rules.longestHeld) }
            guard available() >= Int(length) + 1, let message = buffer.readSlice(length: Int(length) + 1) else { return nil }
            return .held(type: type, message: message)
        }
        guard end > start, let bytes = buffer.readSlice(length: end - start) else {
            // The rest is the beginning of a message: free what lies before it.
            if buffer.readerIndex > 1 << 16 { buffer.discardReadBytes() }
            return nil
        }
        return .pass(bytes, noted: noted)
    }

    /// A type as it is written in messages for people.
    static func name(_ type: UInt8) -> String {
        (0x21...0x7E).contains(type) ? "'\(Character(UnicodeScalar(type)))'" : "\(type)"
    }
}
