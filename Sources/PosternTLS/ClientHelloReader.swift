/// Reads one ClientHello out of TLS records, over several of which it may be spread. A value without I/O.
///
/// Each byte is looked at once, in order, so that the answer and the byte at which it is given do not depend on how the bytes were split on
/// their way.
package struct ClientHelloReader: Sendable {
    /// Bytes of records, their headers included. Hellos with post-quantum key shares have about 2 KiB.
    package static let maximumBytes = 16_384

    private enum State: Hashable, Sendable {
        /// Bytes of a record's header that have been read: 0 to 4.
        case header(Int)
        /// Bytes of the present record that are still to come.
        case record(Int)
        case done
    }

    private var state = State.header(0)
    private var recordLength = 0
    private var total = 0
    /// The handshake message: its type, its length, its body.
    private var message: [UInt8] = []

    package init() {}

    /// Takes the next bytes; `nil` when more are needed. What stands behind the ClientHello's record is not looked at. To be called no more
    /// once it has answered or thrown.
    package mutating func feed(_ more: some Sequence<UInt8>) throws(ClientHelloError) -> ClientHello? {
        for byte in more {
            if state == .done { return nil }
            total += 1
            guard total <= Self.maximumBytes else { throw .tooLarge }
            if let hello = try take(byte) { return hello }
        }
        return nil
    }

    private mutating func take(_ byte: UInt8) throws(ClientHelloError) -> ClientHello? {
        switch state {
        case .done: return nil
        case .header(let index):
            try takeHeader(byte, at: index)
            return nil
        case .record(let left):
            message.append(byte)
            state = left > 1 ? .record(left - 1) : .header(0)
            guard try isWhole() else { return nil }
            guard left == 1 else { throw .trailingData }
            state = .done
            return try ClientHelloBody.read(message.dropFirst(4))
        }
    }

    /// A record's header (RFC 8446, section 5.1): type 22, a version 3.x, a length of two bytes.
    private mutating func takeHeader(_ byte: UInt8, at index: Int) throws(ClientHelloError) {
        switch index {
        case 0: guard byte == 22 else { throw .notTLS }
        case 1: guard byte == 3 else { throw .notTLS }
        case 2: guard byte <= 4 else { throw .notTLS }
        case 3: recordLength = Int(byte) << 8
        default:
            recordLength |= Int(byte)
            guard (1...16_384).contains(recordLength) else { throw .recordLength(recordLength) }
            state = .record(recordLength)
            return
        }
        state = .header(index + 1)
    }

    /// Whether the message is complete; refuses it as soon as its first bytes say that it cannot be taken.
    private func isWhole() throws(ClientHelloError) -> Bool {
        if message.count == 1, message[0] != 1 { throw .notClientHello(message[0]) }
        guard message.count >= 4 else { return false }
        let length = Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
        if message.count == 4, length + 4 + 5 > Self.maximumBytes { throw .tooLarge }
        return message.count == 4 + length
    }
}
