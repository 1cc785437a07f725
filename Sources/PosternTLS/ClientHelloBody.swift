/// The body of a ClientHello message (RFC 8446, section 4.1.2; RFC 5246, section 7.4.1.2).
enum ClientHelloBody {
    private static let serverNameExtension: UInt16 = 0
    private static let protocolsExtension: UInt16 = 16
    private static let encryptedExtensions: Set<UInt16> = [0xFE0D, 0xFFCE]

    static func read(_ body: ArraySlice<UInt8>) throws(ClientHelloError) -> ClientHello {
        var fields = LengthPrefixed(body)
        guard let version = fields.number(), version >> 8 == 3 else { throw .malformed("version") }
        guard fields.bytes(32) != nil else { throw .malformed("random value") }
        guard let session = fields.vector(1), session.count <= 32 else { throw .malformed("session id") }
        guard let suites = fields.vector(2), suites.count >= 2, suites.count % 2 == 0 else { throw .malformed("list of cipher suites") }
        guard let compressions = fields.vector(1), !compressions.isEmpty else { throw .malformed("list of compression methods") }
        // Before TLS 1.3 the extensions may be missing as a whole.
        if fields.isAtEnd { return ClientHello() }
        guard let all = fields.vector(2), fields.isAtEnd else { throw .malformed("list of extensions") }
        return try hello(ofExtensions: all)
    }

    /// Extensions that nobody here knows, GREASE (RFC 8701) among them, are passed over; each may stand there once.
    private static func hello(ofExtensions all: ArraySlice<UInt8>) throws(ClientHelloError) -> ClientHello {
        var extensions = LengthPrefixed(all)
        var seen: Set<UInt16> = []
        var hello = ClientHello()
        while !extensions.isAtEnd {
            guard let type = extensions.number(), let data = extensions.vector(2) else { throw .malformed("list of extensions") }
            guard seen.insert(type).inserted else { throw .repeatedExtension(type) }
            switch type {
            case serverNameExtension: hello.serverName = try serverName(data)
            case protocolsExtension: hello.protocols = try protocols(data)
            case _ where encryptedExtensions.contains(type): hello.isEncrypted = true
            default: break
            }
        }
        return hello
    }

    /// RFC 7301, section 3.1: names of 1 to 255 bytes, at least one.
    private static func protocols(_ data: ArraySlice<UInt8>) throws(ClientHelloError) -> [String] {
        var fields = LengthPrefixed(data)
        guard let list = fields.vector(2), fields.isAtEnd, !list.isEmpty else { throw .malformed("list of protocols") }
        var names = LengthPrefixed(list)
        var protocols: [String] = []
        while !names.isAtEnd {
            guard let name = names.vector(1), !name.isEmpty else { throw .malformed("list of protocols") }
            protocols.append(String(decoding: name, as: UTF8.self))
        }
        return protocols
    }

    /// RFC 6066, section 3: a list that holds one name of type 0, a host name without a dot at its end.
    private static func serverName(_ data: ArraySlice<UInt8>) throws(ClientHelloError) -> String {
        var fields = LengthPrefixed(data)
        guard let list = fields.vector(2), fields.isAtEnd else { throw .malformed("server name") }
        var names = LengthPrefixed(list)
        guard names.bytes(1)?.first == 0, let name = names.vector(2), names.isAtEnd else {
            throw .serverName("extension holds other than one host name")
        }
        guard let host = HostName.canonical(name) else { throw .serverName("is no host name") }
        return host
    }
}

/// Reads fields that stand behind their lengths (RFC 8446, section 3.4).
struct LengthPrefixed {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func bytes(_ count: Int) -> ArraySlice<UInt8>? {
        guard rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func number() -> UInt16? { bytes(2).map { $0.reduce(0) { $0 << 8 | UInt16($1) } } }

    /// The bytes behind their number, which itself has `width` bytes.
    mutating func vector(_ width: Int) -> ArraySlice<UInt8>? {
        guard let length = bytes(width) else { return nil }
        return bytes(length.reduce(0) { $0 << 8 | Int($1) })
    }
}
