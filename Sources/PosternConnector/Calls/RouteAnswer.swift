import PosternHTTP

/// An upstream's answer as it goes to the caller: its own framing, nothing of the hop behind the connector. A value without I/O.
struct RouteAnswer: Sendable {
    /// The head on the wire.
    let wire: [UInt8]
    /// How the body comes from the upstream.
    let framing: BodyFraming
    /// Whether the body goes to the caller in chunks.
    let isChunked: Bool
    /// Whether both connections may carry another request after it.
    let callerStays: Bool
    let upstreamStays: Bool

    /// How the body that goes to the caller differs from the upstream's, after a policy has looked at it.
    enum Screened: Sendable {
        /// All of it is there.
        case whole(length: Int)
        /// It is passed on piece by piece.
        case pieces
    }

    /// Throws for answers that have more than one reading.
    init(_ head: ResponseHead, to request: RouteRequest, screened: Screened? = nil) throws(HTTPRefusal) {
        guard head.status != 101 else { throw HTTPRefusal(502, "the upstream switches to a protocol that was not asked for") }
        framing = try BodyFraming(response: head, to: request.method)
        var fields = ForwardedHeaders.endToEnd(head.fields)
        // Whose answer it is says the connector alone: callers go by it.
        fields.all.removeAll { $0.key == "postern-answer-by" }
        var (chunked, isBounded) = (false, true)
        // Of bytes that may not be the same any more.
        if screened != nil { fields.remove(["content-md5", "digest", "content-digest", "repr-digest", "etag", "accept-ranges"]) }
        var told = framing
        switch screened {
        case .whole(let length)?: told = .length(length)
        case .pieces?: told = .chunked
        case nil: break
        }
        switch told {
        case .length(let length): fields.append("Content-Length", String(length))
        case .chunked, .untilClose:
            chunked = request.minorVersion == 1
            isBounded = chunked
            if chunked { fields.append("Transfer-Encoding", "chunked") }
        case .none:
            // The length that a GET would have is told of a HEAD; a 204 or 304 has none, or tells the same way.
            if let length = head.fields.named("content-length").first, head.status != 204, head.status >= 200 { fields.all.append(length) }
        }
        isChunked = chunked
        callerStays = request.keepsAlive && isBounded
        upstreamStays = head.keepsAlive && framing != .untilClose
        if !callerStays { fields.append("Connection", "close") }
        var output = Array("HTTP/1.1 \(head.status) ".utf8) + head.reason + [0x0D, 0x0A]
        fields.write(to: &output)
        wire = output
    }

    /// An interim answer (RFC 9110, section 15.2) as it is passed on; `nil` for `100`, which the connector gives itself.
    static func interim(_ head: ResponseHead) -> [UInt8]? {
        guard head.status != 100 else { return nil }
        var output = Array("HTTP/1.1 \(head.status) ".utf8) + head.reason + [0x0D, 0x0A]
        ForwardedHeaders.endToEnd(head.fields).write(to: &output)
        return output
    }
}
