import Logging
import NIOCore
import PosternHTTP
import PosternPolicy

/// One connection from the sandbox to the proxy's own port: HTTP proxy requests or SOCKS5, told apart by the first byte.
struct ClientConnection: Sendable {
    let context: SessionContext

    /// Serves the connection until it ends, and closes it. `channel` is connected, without handlers, and does not read by itself.
    func serve(_ channel: any Channel) async {
        do {
            let stream = try await ByteStream.attach(to: channel)
            var reader = MessageReader(stream)
            guard try await reader.fill(within: context.handshakeTime),
                let first = reader.buffer.getInteger(at: reader.buffer.readerIndex, as: UInt8.self)
            else { return stream.close() }
            if first == 5 || first == 4 {
                try await socks(reader)
            } else {
                try await http(reader)
            }
        } catch {
            context.logger.debug("connection ended", metadata: ["session": "\(context.session)", "error": "\(error)"])
        }
        channel.close(promise: nil)
    }

    private func http(_ reader: MessageReader) async throws {
        var reader = reader
        var kept: UpstreamConnection?
        defer { kept?.stream.close() }
        while let lines = try await readHead(&reader) {
            do {
                let head = try RequestHead(lines: lines)
                let proofs = head.fields.named("proxy-authorization")
                guard proofs.count == 1, context.token.accepts(header: proofs[0].value) else {
                    let report = EgressRefusal(kind: .authentication, reason: "the session's proxy token is missing or wrong", remedy: "")
                    return try await refuse(CallRefusal(407, report), reader)
                }
                if head.method == "CONNECT" { return try await connect(head, reader) }
                let forwarded = try ForwardedRequest(absolute: head)
                guard let next = try await Call(context: context, forwarded).run(client: reader, kept: &kept) else { return }
                reader = next
            } catch let refusal as HTTPRefusal {
                return try await refuse(CallRefusal(refusal), reader)
            }
        }
    }

    /// The lines of the next head; a malformed one is refused here.
    private func readHead(_ reader: inout MessageReader) async throws -> [ArraySlice<UInt8>]? {
        do {
            return try await reader.head(idle: context.idleTime, whole: context.handshakeTime)
        } catch let refusal as HTTPRefusal {
            try await refuse(CallRefusal(refusal), reader)
            return nil
        }
    }

    private func connect(_ head: RequestHead, _ reader: MessageReader) async throws {
        guard head.body.isEmpty else { return try await refuse(CallRefusal(HTTPRefusal("a CONNECT has no body")), reader) }
        let destination: Authority
        do throws(PolicyValueError) {
            destination = try Authority(bytes: head.target)
        } catch {
            return try await refuse(CallRefusal(HTTPRefusal("the CONNECT target: \(error.rule)")), reader)
        }
        // The Host of a CONNECT says nothing (RFC 9112, section 3.2.3 has the proxy ignore it); Node's names the proxy.
        let admission: Admission
        do throws(CallRefusal) {
            admission = try context.admit(destination)
        } catch {
            return try await refuse(error, reader)
        }
        try await reader.stream.write(Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8))
        try await Tunnel(context: context, destination: destination, unread: admission.unread).serve(reader)
    }

    private func refuse(_ refusal: CallRefusal, _ reader: MessageReader) async throws {
        try await context.record(refusal)
        try await reader.stream.write(refusal.response(keepAlive: false))
        await reader.stream.closeGently()
    }

    private func socks(_ reader: MessageReader) async throws {
        var reader = reader
        var machine = SOCKSMachine(token: context.token)
        while true {
            var action = machine.feed(reader.takeBuffer().readableBytesView)
            while let present = action {
                switch present {
                case .send(let bytes):
                    try await reader.stream.write(bytes)
                    action = machine.advance()
                case .refuse(let bytes, let reason):
                    try await context.record(CallRefusal(403, EgressRefusal(kind: .authentication, reason: "SOCKS5: \(reason)", remedy: "")))
                    try await reader.stream.write(bytes)
                    return await reader.stream.closeGently()
                case .connect(let destination):
                    return try await socksConnect(destination, MessageReader(reader.stream, buffer: ByteBuffer(bytes: machine.rest)))
                }
            }
            guard try await reader.fill(within: context.handshakeTime) else { return }
        }
    }

    private func socksConnect(_ destination: Authority, _ reader: MessageReader) async throws {
        let admission: Admission
        do throws(CallRefusal) {
            admission = try context.admit(destination)
        } catch {
            try await context.record(error)
            try await reader.stream.write(SOCKSMachine.reply(.notAllowed))
            return await reader.stream.closeGently()
        }
        try await reader.stream.write(SOCKSMachine.reply(.succeeded))
        try await Tunnel(context: context, destination: destination, unread: admission.unread).serve(reader)
    }
}
