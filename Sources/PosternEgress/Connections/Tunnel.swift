import NIOCore
import NIOSSL
import PosternHTTP
import PosternPolicy
import PosternTLS

/// A connection to one destination that the policy allows in principle: TLS that is inspected or passed through, or plain HTTP. Anything
/// else is closed.
struct Tunnel: Sendable {
    let context: SessionContext
    let destination: Authority
    /// Holds what speaks against the destination until a request has been read; see `Admission`.
    let unread: UnreadRefusal?

    /// Serves the tunnel until it ends. The destination has been admitted; each request is decided by itself.
    func serve(_ reader: MessageReader) async throws {
        do {
            try await serveAll(reader)
        } catch {
            if let refusal = unread?.take() { try await context.record(refusal) }
            throw error
        }
        if let refusal = unread?.take() { try await context.record(refusal) }
    }

    private func serveAll(_ reader: MessageReader) async throws {
        let request = NetworkRequest(host: destination.host, port: destination.port)
        let stream = reader.stream
        try await context.live.watching(.init(request: request, address: nil) { stream.abort() }) {
            var reader = reader
            guard try await reader.fill(within: context.handshakeTime),
                let first = reader.buffer.getInteger(at: reader.buffer.readerIndex, as: UInt8.self)
            else { return }
            if first == 22 {
                try await tls(&reader)
            } else if HTTPText.isToken(first) {
                try await requests(reader, encrypted: false)
            } else {
                try await refuse("the tunnel carries neither TLS nor HTTP")
            }
        }
        stream.close()
    }

    /// Closes without an answer: whoever does not speak HTTP could not read one.
    private func refuse(_ reason: String) async throws {
        try await context.record(CallRefusal(403, EgressRefusal(kind: .malformed, destination: destination, reason: reason, remedy: "")))
    }

    private func tls(_ reader: inout MessageReader) async throws {
        // Asked again: the policy may have become narrower meanwhile.
        let decision: NetworkDecision
        do throws(CallRefusal) {
            decision = try context.admit(destination).decision
        } catch {
            _ = unread?.take()
            return try await context.record(error)
        }
        var hello = ClientHelloReader()
        var seen = ByteBuffer()
        while true {
            let piece = reader.takeBuffer()
            seen.writeImmutableBuffer(piece)
            let client: ClientHello?
            do throws(ClientHelloError) {
                client = try hello.feed(piece.readableBytesView)
            } catch {
                return try await refuse(error.description)
            }
            if let client {
                if let reason = HelloRule.refusal(of: client, for: destination.host, opaque: decision.opaque) { return try await refuse(reason) }
                break
            }
            guard try await reader.fill(within: context.handshakeTime) else { return }
        }
        if decision.opaque {
            try await OpaqueConnection(context: context, destination: destination, decision: decision).serve(reader.stream, hello: seen)
        } else {
            let tlsContext = try context.authority.context(for: destination.host)
            try await reader.stream.startTLS(replay: seen) { NIOSSLServerHandler(context: tlsContext) }
            try await requests(MessageReader(reader.stream), encrypted: true)
        }
    }

    /// HTTP requests one after the other, all to the destination of the tunnel.
    private func requests(_ reader: MessageReader, encrypted: Bool) async throws {
        var reader = reader
        var kept: UpstreamConnection?
        defer { kept?.stream.close() }
        while true {
            do {
                guard let lines = try await reader.head(idle: context.idleTime, whole: context.handshakeTime) else { return }
                _ = unread?.take()
                let request = try ForwardedRequest(try RequestHead(lines: lines), inTunnelTo: destination, encrypted: encrypted)
                guard let next = try await Call(context: context, request).run(client: reader, kept: &kept) else { return }
                reader = next
            } catch let refusal as HTTPRefusal {
                let refusal = CallRefusal(refusal, destination)
                try await context.record(refusal)
                try await reader.stream.write(refusal.response(keepAlive: false))
                return await reader.stream.closeGently()
            }
        }
    }
}
