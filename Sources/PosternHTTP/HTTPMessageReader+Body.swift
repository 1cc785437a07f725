import NIOCore

/// A body has more bytes than its reader takes.
package struct BodyTooLarge: Error, Hashable, Sendable, CustomStringConvertible {
    /// As many bytes would have been taken.
    package let most: Int

    package init(most: Int) { self.most = most }

    package var description: String { "the body has more than \(most) bytes" }
}

extension HTTPMessageReader {
    /// A body as a whole.
    /// - Parameters:
    ///   - most: bytes that are taken. A length that says more is refused before anything of the body is read.
    ///   - idle: between two reads, at most; `nil` where `deadline` alone counts.
    ///   - deadline: for all of it, so that nobody holds a reader by sending a byte now and then.
    /// - Throws: `BodyTooLarge`; `TimedOut`; `HTTPRefusal` where the body breaks HTTP's rules or ends early; what broke the connection.
    package mutating func body(_ framing: BodyFraming, most: Int, idle: TimeAmount? = nil, until deadline: NIODeadline) async throws -> [UInt8] {
        if case .length(let length) = framing, length > most { throw BodyTooLarge(most: most) }
        var body = BodyReader(framing)
        var bytes: [UInt8] = []
        while true {
            while let part = try ready(of: &body) {
                guard part.readableBytes <= most - bytes.count else { throw BodyTooLarge(most: most) }
                bytes += part.readableBytesView
            }
            if body.isDone { return bytes }
            let rest = deadline - .now()
            guard rest > .zero else { throw TimedOut() }
            guard let more = try await stream.read(within: idle.map { min($0, rest) } ?? rest) else { return try Self.end(&body, bytes) }
            // Nothing is left of what was read before: the body goes on.
            self = HTTPMessageReader(stream, buffer: more)
        }
    }

    // By itself, and not to be inlined, as in `part`: over an optimised coroutine with this error in it the compiler of Swift 6.3 ends itself.
    @inline(never)
    private static func end(_ body: inout BodyReader, _ bytes: [UInt8]) throws -> [UInt8] {
        try body.end()
        return bytes
    }
}
