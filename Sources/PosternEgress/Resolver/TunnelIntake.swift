import Logging
import NIOCore
import NIOSSL
import PosternHTTP
import PosternPolicy
import PosternTLS

/// Takes the connections of programs that know nothing of a proxy on the way that tunnels take: the same rules, records and inspection.
///
/// No token is asked for: such a program has none to give, and the listeners are reached from inside this one sandbox only.
struct TunnelIntake: ConnectionIntake {
    let context: SessionContext

    func take(_ channel: any Channel, target: CanonicalHost, port: UInt16, scheme: TransparentScheme) async {
        let destination = Authority(host: target, port: port)
        do {
            let stream = try await ByteStream.attach(to: channel)
            switch scheme {
            // Each request is decided, and refused legibly, by itself.
            case .http: try await Tunnel(context: context, destination: destination, unread: nil).serve(MessageReader(stream))
            case .https:
                let admission: Admission
                do throws(CallRefusal) {
                    admission = try context.admit(destination)
                } catch {
                    try await tell(error, destination, MessageReader(stream))
                    break
                }
                try await Tunnel(context: context, destination: destination, unread: admission.unread).serve(MessageReader(stream))
            }
        } catch {
            context.logger.debug("connection ended", metadata: ["session": "\(context.session)", "error": "\(error)"])
        }
        channel.close(promise: nil)
    }

    func refuse(address: String, port: UInt16, reason: String) async {
        let destination = try? Authority("\(address):\(port)")
        try? await context.record(CallRefusal(403, EgressRefusal(kind: .malformed, destination: destination, reason: reason, remedy: "")))
    }

    /// A CONNECT would be answered with 403. Here the client speaks TLS at once, so the answer has to wait for its request inside.
    private func tell(_ refusal: CallRefusal, _ destination: Authority, _ reader: MessageReader) async throws {
        var reader = reader
        try await context.record(refusal)
        var hello = ClientHelloReader()
        var seen = ByteBuffer()
        while true {
            guard try await reader.fill(within: context.handshakeTime) else { return }
            let piece = reader.takeBuffer()
            seen.writeImmutableBuffer(piece)
            guard let client = try hello.feed(piece.readableBytesView) else { continue }
            if HelloRule.refusal(of: client, for: destination.host, opaque: false) != nil { return }
            break
        }
        let tls = try context.authority.context(for: destination.host)
        try await reader.stream.startTLS(replay: seen) { NIOSSLServerHandler(context: tls) }
        var inner = MessageReader(reader.stream)
        guard try await inner.head(idle: context.handshakeTime, whole: context.handshakeTime) != nil else { return }
        try await inner.stream.write(refusal.response(keepAlive: false))
        await inner.stream.closeGently()
    }
}
