import NIOCore
import NIOPosix
import NIOSSL
import PosternConnector
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire
import Testing

/// A client of a tunnel: dials the edge, splices or connects, and speaks HTTP through inner TLS.
struct TunnelClient: Sendable {
    let stream: ByteStream
    private(set) var reader: MessageReader

    struct Answer: Sendable {
        var head: ResponseHead
        var body: String
        var status: Int { head.status }
    }

    /// What an edge answers to a CONNECT that it does not grant.
    struct NotConnected: Error {
        var status: Int
        var body: String
    }

    enum Way: Sendable {
        case splice
        /// With an API key, or none.
        case connect(String?)
        /// With a client certificate for the edge.
        case certified(TunnelWorld.Caller)
    }

    static func dial(_ port: Int) async throws -> ByteStream {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port).get()
        return try await ByteStream.attach(to: channel)
    }

    /// Up to the end of the inner handshake, as far as a client sees it: in TLS 1.3 that is before the server has looked at its certificate.
    static func open(
        _ world: TunnelWorld, _ way: Way, as caller: TunnelWorld.Caller, host: String = "docs.\(TunnelWorld.domain)", serverName: String? = nil,
        port: Int? = nil, authority: String? = nil
    ) async throws -> TunnelClient {
        let stream = try await dial(port ?? world.port)
        do {
            switch way {
            case .splice: break
            case .connect(let key): try await connect(stream, world, host, key)
            case .certified(let caller): try await connect(stream, world, host, nil, as: caller)
            }
            let roots = try NIOSSLCertificate.fromPEMBytes(Array((authority ?? world.tunnelAuthority.certificatePEM).utf8))
            try await inner(stream, caller, roots, host: serverName ?? host)
            return TunnelClient(stream: stream, reader: MessageReader(stream))
        } catch {
            stream.close()
            throw error
        }
    }

    /// Asks the edge for a call, up to its answer.
    static func connect(_ stream: ByteStream, _ world: TunnelWorld, _ host: String, _ key: String?, as caller: TunnelWorld.Caller = .none)
        async throws
    {
        try await outer(stream, world, certificate: caller.certificate, key: caller.key)
        var head = "CONNECT \(host):443 HTTP/1.1\r\nHost: \(host):443\r\n"
        if let key { head += "Proxy-Authorization: Bearer \(key)\r\n" }
        try await stream.write(ByteBuffer(string: head + "\r\n"))
        var reader = MessageReader(stream)
        let answer = try await read(&reader, method: "GET", isConnect: true)
        guard answer.status == 200 else { throw NotConnected(status: answer.status, body: answer.body) }
    }

    /// TLS to the connector.
    static func inner(_ stream: ByteStream, _ caller: TunnelWorld.Caller, _ roots: [NIOSSLCertificate], host: String) async throws {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates(roots)
        tls.applicationProtocols = ["http/1.1"]
        if let certificate = caller.certificate, let key = caller.key {
            tls.certificateChain = [.certificate(certificate)]
            tls.privateKey = .privateKey(key)
        }
        let context = try NIOSSLContext(configuration: tls)
        _ = try await stream.startTLS(within: .seconds(20)) { try NIOSSLClientHandler(context: context, serverHostname: host) }
    }

    /// TLS to the edge itself.
    /// - Parameter farewell: for the edge's `close_notify` at the end.
    static func outer(
        _ stream: ByteStream, _ world: TunnelWorld, certificate: NIOSSLCertificate? = nil, key: NIOSSLPrivateKey? = nil,
        farewell: TimeAmount = .seconds(5)
    ) async throws {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.shutdownTimeout = farewell
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(world.edgeAuthority.made.certificatePEM.utf8)))
        if let certificate, let key {
            tls.certificateChain = [.certificate(certificate)]
            tls.privateKey = .privateKey(key)
        }
        let context = try NIOSSLContext(configuration: tls)
        _ = try await stream.startTLS(within: .seconds(20)) { try NIOSSLClientHandler(context: context, serverHostname: TunnelWorld.edgeName) }
    }

    static func read(_ reader: inout MessageReader, method: String, isConnect: Bool = false) async throws -> Answer {
        guard let lines = try await reader.head(idle: .seconds(30), whole: .seconds(30)) else { throw ChannelError.eof }
        let head = try ResponseHead(lines: lines)
        if isConnect, head.status == 200 { return Answer(head: head, body: "") }
        var body = BodyReader(try BodyFraming(response: head, to: method))
        var bytes = ByteBuffer()
        while let part = try await reader.part(of: &body, within: .seconds(30)) { bytes.writeImmutableBuffer(part) }
        return Answer(head: head, body: String(buffer: bytes))
    }

    mutating func send(_ text: String) async throws { try await stream.write(ByteBuffer(string: text)) }

    /// A request with the right Host, and its answer.
    mutating func call(_ method: String, _ path: String, body: String? = nil, host: String = "docs.\(TunnelWorld.domain)", fields: String = "")
        async throws -> Answer
    {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n\(fields)"
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        try await send(text + "\r\n" + (body ?? ""))
        return try await Self.read(&reader, method: method)
    }

    mutating func answer() async throws -> Answer { try await Self.read(&reader, method: "GET") }

    /// The next piece of an answer's body as it comes.
    mutating func piece(_ body: inout BodyReader) async throws -> String? {
        try await reader.part(of: &body, within: .seconds(30)).map { String(buffer: $0) }
    }

    mutating func head() async throws -> ResponseHead? {
        try await reader.head(idle: .seconds(30), whole: .seconds(30)).map { try ResponseHead(lines: $0) }
    }
}

extension TunnelClient {
    /// A stream of events that has begun, and the body that it is read from.
    static func events(
        _ world: TunnelWorld, _ way: Way = .splice, as caller: TunnelWorld.Caller, fields: String = ""
    ) async throws -> (TunnelClient, BodyReader) {
        var client = try await open(world, way, as: caller)
        try await client.send("GET /events HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\n\(fields)\r\n")
        _ = try #require(try await client.head())
        var body = BodyReader(.chunked)
        #expect(try await client.piece(&body) == "data: 1\n\n")
        return (client, body)
    }

    /// Waits for the end of the connection, which has to be one that says that not all has come. `time` is for each piece before it.
    func isCut(within time: TimeAmount) async {
        do {
            while try await stream.read(within: time) != nil {}
            Issue.record("the connection was ended as if all had come")
        } catch {
            #expect(!(error is TimedOut))
        }
        stream.close()
    }
}
