import NIOCore
import PosternHTTP
import PosternPolicy
import Synchronization

/// Brings one answer back: read strictly, masked, framed anew, bounded.
struct AnswerRelay: Sendable {
    /// How far the answer got; shared with whoever has to decide what the client can still be told.
    final class Progress: Sendable {
        struct State: Sendable {
            /// The client has been sent some of it.
            var hasBegun = false
            var status: Int?
            var received = 0
            var masked: [String: Int] = [:]
        }
        let state = Mutex(State())
    }

    struct Ended: Sendable {
        var upstream: MessageReader
        /// Both connections may carry another request.
        var upstreamStays: Bool
        var clientStays: Bool
        /// The server has switched protocols: what follows is no HTTP.
        var hasSwitched = false
    }

    let context: SessionContext
    let client: ByteStream
    let request: ForwardedRequest
    let maximumReceived: Int?
    let progress: Progress

    func run(from upstream: MessageReader) async throws -> Ended {
        var upstream = upstream
        var head = try await finalHead(&upstream)
        var mask = AnswerMask(context.maskRules)
        defer { progress.state.withLock { $0.masked = mask.counts } }
        if head.status == 101 {
            guard let asked = request.upgrade, head.fields.named("upgrade").flatMap(\.tokens).joined(separator: ",") == asked else {
                throw HTTPRefusal(502, "the server switches to a protocol that was not asked for")
            }
            guard context.maskRules.isEmpty || !head.fields.contains(ForwardedRequest.webSocketExtensions) else {
                throw HTTPRefusal(502, "the server uses an extension of WebSocket that was not asked for, so secrets could not be masked")
            }
            mask.mask(&head)
            try await begin(head)
            return Ended(upstream: upstream, upstreamStays: false, clientStays: false, hasSwitched: true)
        }
        let framing = try BodyFraming(response: head, to: request.head.method)
        // Of several fields, or several codings in one, a client undoes all.
        if !context.maskRules.isEmpty, !framing.isEmpty, head.fields.named("content-encoding").flatMap(\.tokens).contains(where: { $0 != "identity" })
        {
            throw HTTPRefusal(502, "the server compresses its answer although it was asked not to, so secrets in it could not be masked")
        }
        let upstreamStays = head.keepsAlive && framing != .untilClose
        let isChunked = request.head.minorVersion == 1 && (framing == .chunked || framing == .untilClose)
        let isUnframed = !isChunked && (framing == .chunked || framing == .untilClose)
        let clientStays = request.keepsAlive && !isUnframed
        rewrite(&head, framing, isChunked, clientStays)
        mask.mask(&head)
        try await begin(head)
        var body = BodyReader(framing)
        while let part = try await upstream.part(of: &body, within: context.idleTime) {
            try count(part.readableBytes)
            try await send(mask.feed(part), isChunked)
        }
        try await send(mask.finish(), isChunked)
        if isChunked { try await client.write(Chunk.last) }
        return Ended(upstream: upstream, upstreamStays: upstreamStays, clientStays: clientStays)
    }

    /// The head of the final answer; interim ones are for the hop before and are dropped.
    private func finalHead(_ upstream: inout MessageReader) async throws -> ResponseHead {
        for _ in 0..<16 {
            guard let lines = try await upstream.head(idle: context.idleTime, whole: context.handshakeTime) else {
                throw HTTPRefusal(502, "the server closed the connection without an answer")
            }
            let head = try ResponseHead(lines: lines)
            if !head.isInterim {
                progress.state.withLock { $0.status = head.status }
                return head
            }
        }
        throw HTTPRefusal(502, "the server sends interim answers without end")
    }

    private static let dropped: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
        // Would lead the client to other ports and protocols.
        "alt-svc", "alternate-protocol",
    ]

    private func rewrite(_ head: inout ResponseHead, _ framing: BodyFraming, _ isChunked: Bool, _ clientStays: Bool) {
        head.fields.remove(Self.dropped)
        if isChunked {
            head.fields.remove(["content-length"])
            head.fields.append("Transfer-Encoding", "chunked")
        }
        if !clientStays {
            head.fields.append("Connection", "close")
        } else if request.head.minorVersion == 0 {
            head.fields.append("Connection", "keep-alive")
        }
    }

    private func begin(_ head: ResponseHead) async throws {
        progress.state.withLock { $0.hasBegun = true }
        try await client.write(head.encoded)
    }

    private func send(_ bytes: ByteBuffer, _ isChunked: Bool) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await client.write(isChunked ? Chunk.wrap(bytes) : bytes)
    }

    private func count(_ bytes: Int) throws(HTTPRefusal) {
        let total = progress.state.withLock { state in
            state.received += bytes
            return state.received
        }
        if let maximumReceived, total > maximumReceived { throw HTTPRefusal(502, "max_received of \(maximumReceived) bytes is reached") }
    }
}
