/// One question of a DNS query (RFC 1035, section 4.1), with what an answer has to repeat.
struct DNSQuery: Sendable, Hashable {
    /// Kinds of record that get an answer of their own; every other is `other`.
    enum Kind: UInt16 {
        case a = 1
        case aaaa = 28
        /// Services and HTTPS records: an empty answer makes clients ask for A.
        case svcb = 64
        case https = 65
        case any = 255
    }

    var id: UInt16
    /// The bits of the header's flags that an answer repeats: opcode and "recursion desired".
    var opcode: UInt8
    var recursionDesired: Bool
    /// The labels as they came; an answer repeats them byte by byte, mixed case included.
    var labels: [[UInt8]]
    var kind: UInt16
    var recordClass: UInt16
    /// The bytes of the question section, as they came.
    var question: [UInt8]
    /// Whether the query has an EDNS record (RFC 6891): then an answer has one.
    var hasOptions: Bool
}

/// What a resolver answers (RFC 1035, section 4.1.1).
enum DNSAnswer: Hashable, Sendable {
    /// One address.
    case address(UInt32, timeToLive: UInt32)
    /// The name exists and has no record of this kind.
    case empty
    case formatError
    case nameError
    case notImplemented
    case refused

    fileprivate var code: UInt8 {
        switch self {
        case .address, .empty: 0
        case .formatError: 1
        case .nameError: 3
        case .notImplemented: 4
        case .refused: 5
        }
    }
}

extension DNSQuery {
    /// What can be read of a message.
    enum Reading: Equatable {
        case query(DNSQuery)
        /// A message with a header that is no query as it should be. The id is repeated.
        case malformed(id: UInt16, opcode: UInt8)
        /// An opcode other than QUERY.
        case foreign(id: UInt16, opcode: UInt8)
        /// No message, or an answer: answering one would make two resolvers talk for ever.
        case ignored
    }

    /// Reads `message`. Names are uncompressed: in a question there is nothing to point back to.
    static func read(_ message: [UInt8]) -> Reading {
        func word(_ at: Int) -> UInt16 { UInt16(message[at]) << 8 | UInt16(message[at + 1]) }
        guard message.count >= 12, message[2] & 0x80 == 0 else { return .ignored }
        let id = word(0)
        let opcode = message[2] >> 3 & 15
        guard opcode == 0 else { return .foreign(id: id, opcode: opcode) }
        let malformed = Reading.malformed(id: id, opcode: opcode)
        guard message[2] & 0x02 == 0, word(4) == 1, word(6) == 0, word(8) == 0, word(10) <= 1 else { return malformed }

        var labels: [[UInt8]] = []
        var index = 12
        while true {
            guard index < message.count else { return malformed }
            let length = Int(message[index])
            index += 1
            if length == 0 { break }
            guard length <= 63, index + length <= message.count, index + length - 12 <= 254 else { return malformed }
            labels.append(Array(message[index..<index + length]))
            index += length
        }
        guard index + 4 <= message.count else { return malformed }
        let (kind, recordClass) = (word(index), word(index + 2))
        index += 4
        let question = Array(message[12..<index])
        let hasOptions = word(10) == 1
        if hasOptions {
            // OPT: root name, type 41, class, time to live, length, data.
            guard index + 11 <= message.count, message[index] == 0, word(index + 1) == 41 else { return malformed }
            index += 11 + Int(word(index + 9))
        }
        guard index == message.count else { return malformed }
        return .query(
            DNSQuery(
                id: id, opcode: opcode, recursionDesired: message[2] & 1 != 0, labels: labels, kind: kind, recordClass: recordClass,
                question: question, hasOptions: hasOptions))
    }

    /// The message that answers this query.
    func message(_ answer: DNSAnswer) -> [UInt8] {
        var message = Self.header(id: id, opcode: opcode, recursionDesired: recursionDesired, code: answer.code)
        message[5] = 1
        message += question
        if case .address(let address, let timeToLive) = answer {
            message[7] = 1
            // The name is the question's, by pointer.
            message += [0xC0, 12, 0, 1, 0, 1] + Self.bytes(timeToLive) + [0, 4] + Self.bytes(address)
        }
        if hasOptions {
            message[11] = 1
            message += [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]
        }
        return message
    }

    /// An answer to what could not be read: a header alone.
    static func message(id: UInt16, opcode: UInt8, _ answer: DNSAnswer) -> [UInt8] {
        header(id: id, opcode: opcode, recursionDesired: false, code: answer.code)
    }

    /// A header of an authoritative answer that offers no recursion.
    private static func header(id: UInt16, opcode: UInt8, recursionDesired: Bool, code: UInt8) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 12)
        header[0] = UInt8(id >> 8)
        header[1] = UInt8(truncatingIfNeeded: id)
        header[2] = 0x80 | opcode << 3 | 0x04 | (recursionDesired ? 1 : 0)
        header[3] = code
        return header
    }

    private static func bytes(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }
}
