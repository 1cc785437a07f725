/// The head of a request, syntactically sound and with one reading only.
package struct RequestHead: Hashable, Sendable {
    package var method: String
    /// The request target as it came: printable ASCII.
    package var target: [UInt8]
    /// Minor version of HTTP/1: 0 or 1.
    package var minorVersion: Int
    package var fields: HTTPFields
    package var body: BodyFraming

    /// From the lines of a head (RFC 9112, sections 3, 5, 6).
    package init(lines: [ArraySlice<UInt8>]) throws(HTTPRefusal) {
        let parts = (lines.first ?? []).split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw HTTPRefusal("the request line is not METHOD TARGET VERSION") }
        guard (1...32).contains(parts[0].count), parts[0].allSatisfy(HTTPText.isToken) else { throw HTTPRefusal("the method is no token") }
        method = String(decoding: parts[0], as: UTF8.self)
        target = Array(parts[1])
        guard !target.isEmpty, target.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw HTTPRefusal("the request target holds a byte that is not allowed")
        }
        switch String(decoding: parts[2], as: UTF8.self) {
        case "HTTP/1.1": minorVersion = 1
        case "HTTP/1.0": minorVersion = 0
        default: throw HTTPRefusal(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        }
        fields = try HeadReader.fields(lines.dropFirst())
        try Self.refuseLookAlikes(fields)
        body = try BodyFraming(request: fields, minorVersion: minorVersion)
    }

    private static let steering: Set<String> = ["content-length", "transfer-encoding", "host", "connection"]

    /// Names that some servers read as a header that steers the message or its way.
    private static func refuseLookAlikes(_ fields: HTTPFields) throws(HTTPRefusal) {
        for field in fields.all {
            let spelling = field.spelling
            if spelling != field.key, steering.contains(spelling) { throw HTTPRefusal("header \(field.name) looks like \(spelling)") }
            if spelling == "x-unix-socket" { throw HTTPRefusal("header \(field.name) would choose another way for the request") }
        }
    }

    /// Whether the connection is to be kept open after the answer (RFC 9112, section 9.3).
    package var wantsKeepAlive: Bool {
        let options = (fields.named("connection") + fields.named("proxy-connection")).flatMap(\.tokens)
        if options.contains("close") { return false }
        return minorVersion == 1 || options.contains("keep-alive")
    }

    /// The protocol that the client asks to switch to; `nil` when it does not ask.
    package var upgrade: String? {
        guard fields.contains("upgrade") || fields.named("connection").contains(where: { $0.tokens.contains("upgrade") }) else { return nil }
        return fields.named("upgrade").flatMap(\.tokens).joined(separator: ",")
    }

    /// The bytes on the wire, with the empty line.
    package func encoded(target: [UInt8]) -> [UInt8] {
        var output = Array(method.utf8) + [0x20] + target + Array(" HTTP/1.1\r\n".utf8)
        fields.write(to: &output)
        return output
    }
}

extension HTTPFields {
    /// Appends the fields and the empty line.
    package func write(to output: inout [UInt8]) {
        for field in all {
            output += field.name.utf8
            output += [UInt8(ascii: ":"), 0x20]
            output += field.value
            output += [0x0D, 0x0A]
        }
        output += [0x0D, 0x0A]
    }
}
