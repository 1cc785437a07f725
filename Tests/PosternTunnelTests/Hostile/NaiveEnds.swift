import NIOCore
import NIOPosix
import NIOSSL
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire

@testable import PosternConnector

/// A caller that leaves checks out, to show that an attack succeeds where they are missing.
struct NaiveClient: Sendable {
    enum Trust: Sendable {
        case anything
        /// These in PEM, as a machine's store would be trusted.
        case roots([String])
    }

    /// No inner TLS at all.
    var isPlain = false
    var trust = Trust.anything
    var oldest = TLSVersion.tlsv13
    var checksProtocol = false
    /// Takes what has come for all, where it breaks off.
    var takesCut = false

    func call(_ call: Call, _ world: TunnelWorld, port: Int) async throws -> String {
        let stream = try await TunnelClient.dial(port)
        defer { stream.close() }
        if !isPlain { try await startTLS(stream, world) }
        var text = "POST \(Call.path) HTTP/1.1\r\nHost: \(Call.host)\r\nContent-Length: \(call.body.utf8.count)\r\n"
        for (name, value) in call.fields { text += "\(name): \(value)\r\n" }
        try await stream.write(ByteBuffer(string: text + "\r\n" + call.body))
        return try await answer(stream)
    }

    private func startTLS(_ stream: ByteStream, _ world: TunnelWorld) async throws {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = oldest
        tls.applicationProtocols = ["http/1.1"]
        let caller = try world.runtime()
        if let certificate = caller.certificate, let key = caller.key {
            tls.certificateChain = [.certificate(certificate)]
            tls.privateKey = .privateKey(key)
        }
        if case .anything = trust { tls.certificateVerification = .noHostnameVerification }
        if case .roots(let roots) = trust {
            tls.trustRoots = .certificates(try roots.flatMap { try NIOSSLCertificate.fromPEMBytes(Array($0.utf8)) })
        }
        let context = try NIOSSLContext(configuration: tls)
        let trust = trust
        let chosen = try await stream.startTLS(within: .seconds(20)) {
            switch trust {
            case .anything:
                try NIOSSLClientHandler(
                    context: context, serverHostname: Call.host, customVerificationCallback: { $1.succeed(.certificateVerified) })
            case .roots: try NIOSSLClientHandler(context: context, serverHostname: Call.host)
            }
        }
        if checksProtocol, chosen != "http/1.1" { throw DialError("another protocol: \(chosen ?? "none")") }
    }

    private func answer(_ stream: ByteStream) async throws -> String {
        var reader = MessageReader(stream)
        guard let lines = try await reader.head(idle: .seconds(20), whole: .seconds(20)) else { throw ChannelError.eof }
        let (text, failure) = await Self.body(&reader, try BodyFraming(response: try ResponseHead(lines: lines), to: "POST"))
        if let failure, !takesCut { throw failure }
        return text
    }

    /// What comes of a body, and what cut it.
    static func body(_ reader: inout MessageReader, _ framing: BodyFraming) async -> (String, (any Error)?) {
        var body = BodyReader(framing)
        var bytes = ByteBuffer()
        do {
            while let part = try await reader.part(of: &body, within: .seconds(20)) { bytes.writeImmutableBuffer(part) }
            return (String(buffer: bytes), nil)
        } catch {
            return (String(buffer: bytes), error)
        }
    }
}

/// A connector that leaves checks out: it looks at no certificate and no name, and where its caller ends early, it takes what has come for all.
struct NaiveConnector: Sendable {
    let world: TunnelWorld
    /// No inner TLS at all.
    let isPlain: Bool
    private let inner: NIOSSLContext

    init(_ world: TunnelWorld, isPlain: Bool) throws {
        self.world = world
        self.isPlain = isPlain
        let certificate = world.serverCertificate
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(certificate.certificatePEM.utf8)).map { .certificate($0) },
            privateKey: .privateKey(try .init(bytes: Array(certificate.keyPEM.utf8), format: .pem)))
        tls.applicationProtocols = ["http/1.1"]
        tls.certificateVerification = .optionalVerification
        tls.trustRoots = .certificates([])
        inner = try NIOSSLContext(configuration: tls)
    }

    /// Holds its legs until it is cancelled.
    func run(edge port: Int) async throws {
        let (configuration, material) = try world.parts(edge: port, world.options)
        let dialer = LegDialer(
            edges: configuration.edges, tls: try material.outerTLS(), signer: material.signer, proxy: nil, resolve: { _ in [] },
            group: MultiThreadedEventLoopGroup.singleton,
            times: ConnectorTimes())
        let (calls, told) = AsyncStream<LegCall>.makeStream()
        for index in 0..<configuration.legs {
            let request = LegRequest(
                tunnelID: configuration.tunnel.id, leg: "\(configuration.name)/\(index)", version: "naive", token: nil)
            let events = Leg.Events(goAway: { _ in }, call: { told.yield($0) })
            _ = try await dialer.dial(configuration.edges.addresses[0], request, events)
        }
        await withDiscardingTaskGroup { group in
            for await call in calls {
                group.addTask {
                    call.accept()
                    try? await serve(call.stream, ConnectTarget.host(Array(call.authority.utf8)) ?? "")
                    await call.stream.closeGently(within: .seconds(1))
                }
            }
        }
    }

    private func serve(_ stream: ByteStream, _ host: String) async throws {
        if !isPlain {
            let inner = inner
            _ = try await stream.startTLS(within: .seconds(10)) {
                NIOSSLServerHandler(context: inner, customVerificationCallback: { $1.succeed(.certificateVerified) }, configuration: .init())
            }
        }
        var reader = MessageReader(stream)
        while let lines = try await reader.head(idle: .seconds(20), whole: .seconds(20)) {
            let head = try RequestHead(lines: lines)
            let (body, _) = await NaiveClient.body(&reader, head.body)
            let answer = try await ask(head, host, body)
            try await stream.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: \(answer.utf8.count)\r\n\r\n\(answer)"))
        }
    }

    private func ask(_ head: RequestHead, _ host: String, _ body: String) async throws -> String {
        let stream = try await TunnelClient.dial(world.upstream.port)
        defer { stream.close() }
        var text = "\(head.method) \(String(decoding: head.target, as: UTF8.self)) HTTP/1.1\r\nHost: upstream\r\nX-Forwarded-Host: \(host)\r\n"
        for field in head.fields.named("x-token") { text += "X-Token: \(field.text)\r\n" }
        try await stream.write(ByteBuffer(string: "\(text)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"))
        var reader = MessageReader(stream)
        return try await TunnelClient.read(&reader, method: head.method).body
    }
}
