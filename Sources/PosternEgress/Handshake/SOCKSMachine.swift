import PosternPolicy

/// The server's side of a SOCKS5 handshake (RFC 1928, RFC 1929): user name and password are demanded, CONNECT is the only command, names are
/// taken as they are and resolved by nobody before the policy has decided. A value without I/O.
struct SOCKSMachine: Sendable {
    enum Action: Hashable, Sendable {
        /// Send these bytes and go on feeding.
        case send([UInt8])
        /// The handshake waits for `reply` about this destination.
        case connect(Authority)
        /// Send these bytes, then close.
        case refuse([UInt8], reason: String)
    }

    enum Reply: UInt8, Sendable {
        case succeeded = 0
        case failure = 1
        case notAllowed = 2
        case commandUnsupported = 7
        case addressUnsupported = 8
    }

    private enum State: Hashable, Sendable {
        case greeting, authentication, request, decided
    }

    private let token: ProxyToken
    private var state = State.greeting
    private var bytes: [UInt8] = []

    init(token: ProxyToken) {
        self.token = token
    }

    /// Takes the next bytes; `nil` when more are needed. Bytes after the request are not taken: see `rest`.
    mutating func feed(_ more: some Sequence<UInt8>) -> Action? {
        bytes.append(contentsOf: more)
        return advance()
    }

    /// The next action without new bytes, after `.send`.
    mutating func advance() -> Action? {
        switch state {
        case .greeting: greeting()
        case .authentication: authentication()
        case .request: request()
        case .decided: nil
        }
    }

    /// What came after the request: data of the connection.
    var rest: [UInt8] { bytes }

    /// The answer to a request. The bound address is not told.
    static func reply(_ reply: Reply) -> [UInt8] { [5, reply.rawValue, 0, 1, 0, 0, 0, 0, 0, 0] }

    private mutating func greeting() -> Action? {
        guard let version = bytes.first else { return nil }
        guard version == 5 else { return refuse([], "SOCKS version \(version) is not spoken here") }
        guard bytes.count >= 2, bytes.count >= 2 + Int(bytes[1]) else { return nil }
        let methods = bytes[2..<(2 + Int(bytes[1]))]
        bytes.removeFirst(2 + Int(bytes[1]))
        guard methods.contains(2) else { return refuse([5, 0xFF], "the client does not authenticate") }
        state = .authentication
        return .send([5, 2])
    }

    private mutating func authentication() -> Action? {
        guard let version = bytes.first else { return nil }
        guard version == 1 else { return refuse([1, 1], "malformed authentication") }
        guard bytes.count >= 2 else { return nil }
        let userEnd = 2 + Int(bytes[1])
        guard bytes.count > userEnd else { return nil }
        let end = userEnd + 1 + Int(bytes[userEnd])
        guard bytes.count >= end else { return nil }
        let accepted = token.accepts(user: Array(bytes[2..<userEnd]), password: Array(bytes[(userEnd + 1)..<end]))
        bytes.removeFirst(end)
        guard accepted else { return refuse([1, 1], "the token is not this session's") }
        state = .request
        return .send([1, 0])
    }

    private mutating func request() -> Action? {
        guard bytes.count >= 5 else { return nil }
        guard bytes[0] == 5, bytes[2] == 0 else { return refuse(Self.reply(.failure), "malformed request") }
        guard bytes[1] == 1 else {
            return refuse(Self.reply(.commandUnsupported), "command \(bytes[1]): only CONNECT is served, no BIND, no UDP")
        }
        let host: (start: Int, end: Int)
        switch bytes[3] {
        case 1: host = (4, 8)
        case 3: host = (5, 5 + Int(bytes[4]))
        case 4: host = (4, 20)
        default: return refuse(Self.reply(.addressUnsupported), "address type \(bytes[3]) is unknown")
        }
        guard bytes.count >= host.end + 2 else { return nil }
        let raw = Array(bytes[host.start..<host.end])
        let port = UInt16(bytes[host.end]) << 8 | UInt16(bytes[host.end + 1])
        let isName = bytes[3] == 3
        bytes.removeFirst(host.end + 2)
        guard port > 0 else { return refuse(Self.reply(.failure), "port 0") }
        do throws(PolicyValueError) {
            let canonical = isName ? try CanonicalHost(bytes: raw) : IPAddress(bytes: raw).map(CanonicalHost.address)
            guard let canonical else { return refuse(Self.reply(.addressUnsupported), "malformed address") }
            state = .decided
            return .connect(Authority(host: canonical, port: port))
        } catch {
            return refuse(Self.reply(.notAllowed), "the host: \(error)")
        }
    }

    private mutating func refuse(_ bytes: [UInt8], _ reason: String) -> Action {
        state = .decided
        return .refuse(bytes, reason: reason)
    }
}
