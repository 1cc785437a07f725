import PosternPolicy

/// What a TLS client says before anything is encrypted (RFC 8446, section 4.1.2), as far as the proxy decides on it.
struct ClientHello: Hashable, Sendable {
    /// The server name (RFC 6066, section 3); `nil` when there is none.
    var serverName: CanonicalHost?
    /// The real name is in an encrypted part (extension 0xfe0d or the older 0xffce) that the proxy cannot read.
    var isEncrypted = false
    /// Protocols by ALPN, in the client's order.
    var protocols: [String] = []
}

/// Why bytes are no acceptable ClientHello.
struct ClientHelloError: Error, Hashable, Sendable {
    var reason: String
}

/// Reads a ClientHello out of TLS records, of which it may fill several. A value without I/O.
struct ClientHelloReader: Sendable {
    /// A larger one is refused.
    static let maximumBytes = 65_536
    private var records: [UInt8] = []
    private var message: [UInt8] = []
    private var consumed = 0

    init() {}

    /// Takes the next bytes; `nil` when more are needed.
    mutating func feed(_ more: some Sequence<UInt8>) throws(ClientHelloError) -> ClientHello? {
        records.append(contentsOf: more)
        guard records.count <= Self.maximumBytes else { throw ClientHelloError(reason: "the ClientHello is larger than \(Self.maximumBytes) bytes") }
        while records.count - consumed >= 5 {
            guard records[consumed] == 22, records[consumed + 1] == 3 else { throw ClientHelloError(reason: "this is no TLS handshake") }
            let length = Int(records[consumed + 3]) << 8 | Int(records[consumed + 4])
            guard (1...16_384).contains(length) else { throw ClientHelloError(reason: "a TLS record of \(length) bytes") }
            guard records.count - consumed >= 5 + length else { break }
            message += records[(consumed + 5)..<(consumed + 5 + length)]
            consumed += 5 + length
            if let hello = try parse() { return hello }
        }
        if let first = records.first, first != 22 { throw ClientHelloError(reason: "this is no TLS handshake") }
        return nil
    }

    private func parse() throws(ClientHelloError) -> ClientHello? {
        guard message.count >= 4 else { return nil }
        guard message[0] == 1 else { throw ClientHelloError(reason: "the first message is no ClientHello") }
        let length = Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
        guard length <= Self.maximumBytes else { throw ClientHelloError(reason: "the ClientHello is larger than \(Self.maximumBytes) bytes") }
        guard message.count >= 4 + length else { return nil }
        guard message.count == 4 + length else { throw ClientHelloError(reason: "data follows the ClientHello") }
        guard let hello = try Self.read(message[4...]) else { throw ClientHelloError(reason: "the ClientHello is malformed") }
        return hello
    }

    private static func read(_ body: ArraySlice<UInt8>) throws(ClientHelloError) -> ClientHello? {
        var cursor = Cursor(bytes: body)
        guard let version = cursor.bytes(2), version.elementsEqual([3, 3]) || version.elementsEqual([3, 2]) || version.elementsEqual([3, 1]),
            cursor.bytes(32) != nil, let session = cursor.vector(1), session.count <= 32, let suites = cursor.vector(2), suites.count >= 2,
            suites.count % 2 == 0, let compressions = cursor.vector(1), !compressions.isEmpty
        else { return nil }
        var hello = ClientHello()
        if cursor.isAtEnd { return hello }
        guard let all = cursor.vector(2), cursor.isAtEnd else { return nil }
        var extensions = Cursor(bytes: all)
        var seen: Set<UInt16> = []
        while !extensions.isAtEnd {
            guard let type = extensions.number(), let data = extensions.vector(2) else { return nil }
            guard seen.insert(type).inserted else { throw ClientHelloError(reason: "extension \(type) is given twice") }
            switch type {
            case 0: hello.serverName = try serverName(data)
            case 16:
                guard let protocols = protocols(data) else { return nil }
                hello.protocols = protocols
            case 0xFE0D, 0xFFCE: hello.isEncrypted = true
            default: break
            }
        }
        return hello
    }

    private static func serverName(_ data: ArraySlice<UInt8>) throws(ClientHelloError) -> CanonicalHost {
        var cursor = Cursor(bytes: data)
        guard let list = cursor.vector(2), cursor.isAtEnd else { throw ClientHelloError(reason: "the server name is malformed") }
        var names = Cursor(bytes: list)
        guard names.bytes(1)?.first == 0, let name = names.vector(2), names.isAtEnd else {
            throw ClientHelloError(reason: "the server name extension holds other than one host name")
        }
        do throws(PolicyValueError) {
            return try CanonicalHost(bytes: Array(name))
        } catch {
            throw ClientHelloError(reason: "the server name: \(error)")
        }
    }

    private static func protocols(_ data: ArraySlice<UInt8>) -> [String]? {
        var cursor = Cursor(bytes: data)
        guard let list = cursor.vector(2), cursor.isAtEnd else { return nil }
        var names = Cursor(bytes: list)
        var output: [String] = []
        while !names.isAtEnd {
            guard let name = names.vector(1), !name.isEmpty else { return nil }
            output.append(String(decoding: name, as: UTF8.self))
        }
        return output
    }

    /// Reads length-prefixed fields.
    private struct Cursor {
        var bytes: ArraySlice<UInt8>
        var isAtEnd: Bool { bytes.isEmpty }

        mutating func bytes(_ count: Int) -> ArraySlice<UInt8>? {
            guard bytes.count >= count else { return nil }
            defer { bytes = bytes.dropFirst(count) }
            return bytes.prefix(count)
        }

        mutating func number() -> UInt16? { bytes(2).map { $0.reduce(0) { $0 << 8 | UInt16($1) } } }

        /// A field behind its length in `width` bytes.
        mutating func vector(_ width: Int) -> ArraySlice<UInt8>? {
            guard let length = bytes(width) else { return nil }
            return bytes(length.reduce(0) { $0 << 8 | Int($1) })
        }
    }
}
