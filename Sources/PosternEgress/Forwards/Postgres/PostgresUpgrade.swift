import NIOCore
import NIOSSL
import NIOTLS

/// Turns a fresh connection to a database into TLS: SSLRequest, the answer `S`, the handshake. A byte behind the `S` ends the connection:
/// it came before the encryption and would be taken for something the database said (CVE-2021-23222).
final class PostgresUpgrade: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// An encrypted connection and the hash of its server's certificate, where the channel binding is defined.
    struct Upgraded: Sendable {
        var channel: ByteChannel
        var endPoint: [UInt8]?
    }

    private let tls: NIOSSLContext
    private let serverName: String?
    private var promise: EventLoopPromise<Upgraded>?
    private var isAnswered = false

    private init(_ tls: NIOSSLContext, serverName: String?, _ promise: EventLoopPromise<Upgraded>) {
        self.tls = tls
        self.serverName = serverName
        self.promise = promise
    }

    /// Upgrades `channel`, which is connected and has no handlers. `serverName` is `nil` for an address, which is then looked for in
    /// the certificate itself.
    static func upgrade(_ channel: any Channel, _ tls: NIOSSLContext, serverName: String?) async throws -> Upgraded {
        let promise = channel.eventLoop.makePromise(of: Upgraded.self)
        channel.eventLoop.execute {
            do {
                try channel.pipeline.syncOperations.addHandler(PostgresUpgrade(tls, serverName: serverName, promise))
                channel.setOption(.autoRead, value: true).cascadeFailure(to: promise)
            } catch {
                promise.fail(error)
            }
        }
        return try await promise.futureResult.get()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(PostgresMessage.sslRequest), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        guard !isAnswered else { return fail(context, PostgresRefusal.protocolViolation("the database spoke before it was asked")) }
        isAnswered = true
        switch Array(bytes.readableBytesView) {
        case [UInt8(ascii: "S")]:
            do {
                try context.pipeline.syncOperations.addHandler(
                    NIOSSLClientHandler(context: tls, serverHostname: serverName), position: .before(self))
            } catch {
                fail(context, error)
            }
        case [UInt8(ascii: "N")]:
            fail(context, PostgresRefusal.unreachable("the database offers no TLS", hint: "turn ssl on in postgresql.conf"))
        default: fail(context, PostgresRefusal.protocolViolation("the database's answer to a request for TLS is not one byte S or N"))
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case TLSUserEvent.handshakeCompleted = event, let promise else { return context.fireUserInboundEventTriggered(event) }
        self.promise = nil
        do {
            let certificate = try context.pipeline.syncOperations.nioSSL_peerCertificate()
            let endPoint = try certificate.flatMap { try EndPointBinding.hash(of: $0) }
            let channel = try ByteChannel(wrapping: context.channel)
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
            promise.succeed(Upgraded(channel: channel, endPoint: endPoint))
        } catch {
            promise.fail(error)
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(context, Self.legible(error))
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(context, PostgresRefusal.unreachable("the database closed the connection before TLS was set up"))
        context.fireChannelInactive()
    }

    private func fail(_ context: ChannelHandlerContext, _ error: any Error) {
        promise?.fail(error)
        promise = nil
        context.close(promise: nil)
    }

    /// What a failed handshake means to whoever runs the forward.
    private static func legible(_ error: any Error) -> any Error {
        let remedy = "check the forward's ca_file and that the certificate names the host of the forward"
        switch error {
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            return PostgresRefusal.unreachable("the database's certificate is for another host", hint: remedy)
        case NIOSSLError.handshakeFailed(let reason):
            return PostgresRefusal.unreachable("the database's certificate or TLS was refused: \(reason)".filter { $0 != "\n" }, hint: remedy)
        default: return error
        }
    }
}
