import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// A server on loopback, over TLS or plain, that answers with what a closure says and keeps what it was sent. Its parser is not the proxy's.
final class TestServer: Sendable {
    struct Request: Sendable {
        var head: HTTPRequestHead
        var body: [UInt8]
        /// The head and the body as text, for searches.
        var text: String {
            "\(head.method) \(head.uri)\n" + head.headers.map { "\($0.name): \($0.value)\n" }.joined() + "\n" + String(decoding: body, as: UTF8.self)
        }
    }
    struct Answer: Sendable {
        var status = HTTPResponseStatus.ok
        var headers: HTTPHeaders = [:]
        var body: [UInt8] = []

        init(_ text: String = "ok", status: HTTPResponseStatus = .ok, headers: HTTPHeaders = [:]) {
            self.status = status
            self.headers = headers
            body = Array(text.utf8)
        }
    }

    private let channel: any Channel
    private let connected: ByteCounter

    final class ByteCounter: Sendable {
        let value = Mutex(0)
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    /// Connections that were accepted.
    var connections: Int { connected.value.withLock { $0 } }

    /// `tls` is a certificate chain and a key, PEM.
    static func start(
        tls: (certificate: String, key: String)? = nil, host: String = "127.0.0.1", port: Int = 0,
        _ answer: @escaping @Sendable (Request) -> Answer = { Answer($0.text) }
    ) async throws -> TestServer {
        var context: NIOSSLContext?
        if let tls {
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(tls.certificate.utf8)).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(tls.key.utf8), format: .pem)))
            configuration.applicationProtocols = ["h2", "http/1.1"]
            context = try NIOSSLContext(configuration: configuration)
        }
        let requests = RequestLog()
        let connected = ByteCounter()
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { [context] channel in
                connected.value.withLock { $0 += 1 }
                return channel.eventLoop.makeCompletedFuture {
                    if let context { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context)) }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(requests: requests, answer: answer))
                }
            }
            .bind(host: host, port: port).get()
        return TestServer(channel, requests, connected)
    }

    private final class RequestLog: Sendable {
        let all = Mutex<[Request]>([])
    }
    private let log: RequestLog

    private init(_ channel: any Channel, _ log: RequestLog, _ connected: ByteCounter) {
        self.channel = channel
        self.log = log
        self.connected = connected
    }

    /// What came so far, in order.
    var received: [Request] { log.all.withLock { $0 } }

    func stop() async { try? await channel.close().get() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let requests: RequestLog
        private let answer: @Sendable (Request) -> Answer
        private var present: Request?

        init(requests: RequestLog, answer: @escaping @Sendable (Request) -> Answer) {
            self.requests = requests
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): present = Request(head: head, body: [])
            case .body(let bytes): present?.body += bytes.readableBytesView
            case .end:
                guard let request = present else { return }
                requests.all.withLock { $0.append(request) }
                let answer = answer(request)
                var headers = answer.headers
                if !headers.contains(name: "transfer-encoding") { headers.replaceOrAdd(name: "content-length", value: "\(answer.body.count)") }
                context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: answer.status, headers: headers))), promise: nil)
                if request.head.method != .HEAD { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil) }
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
                if !request.head.isKeepAlive { context.close(promise: nil) }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
