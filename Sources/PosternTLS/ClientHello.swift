/// What a TLS client says before anything is encrypted (RFC 8446, section 4.1.2), as far as anybody decides by it.
package struct ClientHello: Hashable, Sendable {
    /// The server name (RFC 6066, section 3) in lower case; `nil` when the client names none. With Encrypted Client Hello (RFC 9849) it is
    /// the outer name: the only one that anybody on the way can read.
    package var serverName: String?
    /// The real name may be in an encrypted part (extension 0xfe0d, or the older 0xffce). Clients send one also where they have no key for it.
    package var isEncrypted: Bool
    /// Protocols by ALPN (RFC 7301, section 3.1), in the client's order.
    package var protocols: [String]

    package init(serverName: String? = nil, isEncrypted: Bool = false, protocols: [String] = []) {
        self.serverName = serverName
        self.isEncrypted = isEncrypted
        self.protocols = protocols
    }
}

/// Why bytes are no acceptable ClientHello.
package enum ClientHelloError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The first byte is no handshake record's, or the version behind it no version of TLS.
    case notTLS
    /// A record of that many bytes: RFC 8446, section 5.1, allows 1 to 16384 in a handshake.
    case recordLength(Int)
    case tooLarge
    /// The first message has this type (RFC 8446, section 4).
    case notClientHello(UInt8)
    /// More stands behind the ClientHello in its record.
    case trailingData
    /// A field is shorter or longer than its place.
    case malformed(String)
    /// RFC 8446, section 4.2: no extension stands there twice.
    case repeatedExtension(UInt16)
    case serverName(String)

    package var description: String {
        switch self {
        case .notTLS: "this is no TLS handshake"
        case .recordLength(let length): "a TLS handshake record of \(length) bytes; 1 to 16384 are allowed"
        case .tooLarge: "the ClientHello needs more than \(ClientHelloReader.maximumBytes) bytes"
        case .notClientHello(let type): "the first TLS message has type \(type); a ClientHello has type 1"
        case .trailingData: "data follows the ClientHello in its record"
        case .malformed(let field): "the ClientHello's \(field) does not fit its place"
        case .repeatedExtension(let type): "the ClientHello gives extension \(type) twice"
        case .serverName(let reason): "the ClientHello's server name \(reason)"
        }
    }
}
