import NIOCore
import PosternHTTP
import PosternJSON
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire

extension LegDialer {
    /// Asks an edge for the tunnel's log, on a connection of its own. Throws `LegRefusal` where the edge says no, `DialError` where the answer is
    /// not whole by `deadline`: the connection is closed then, however often something comes.
    func registrations(_ address: Authority, _ request: RegistrationRequest, until deadline: NIODeadline) async throws -> RegistrationAnswer {
        let (rest, time) = (deadline - .now(), times.registrations)
        return try await withThrowingTaskGroup(of: RegistrationAnswer.self) { group in
            // Cancelling closes the connection.
            defer { group.cancelAll() }
            group.addTask { try await ask(address, request) }
            group.addTask {
                try await Task.sleep(for: .nanoseconds(max(0, rest.nanoseconds)))
                throw DialError("the edge's answer about the registrations was not whole within \(time.nanoseconds / 1_000_000) ms")
            }
            guard let answer = try await group.next() else { throw CancellationError() }
            return answer
        }
    }

    private func ask(_ address: Authority, _ request: RegistrationRequest) async throws -> RegistrationAnswer {
        let stream = try await path.connect(to: address) { _ in }
        defer { stream.close() }
        let certificate = try await startTLS(stream)
        try await stream.write(request.encoded(host: edges.name, upgrade: upgrade))
        var reader = MessageReader(stream)
        try await prove(&reader, .init(request), certificate: certificate)
        guard let lines = try await reader.head(idle: times.dial, whole: times.dial) else {
            throw DialError("the edge closed the connection without an answer")
        }
        let head = try ResponseHead(lines: lines)
        let framing = try BodyFraming(response: head, to: "GET")
        let most = head.status == 200 ? RegistrationAnswer.maximumSize : JSONAnswer.longestRefusal
        let bytes: [UInt8]
        do {
            // The deadline of the whole is the caller's.
            bytes = try await reader.body(framing, most: most, idle: times.dial, until: .distantFuture)
        } catch let error as BodyTooLarge {
            throw DialError("the edge's answer about the registrations has more than \(error.most) bytes")
        }
        guard head.status == 200 else { throw LegAnswer.refusal(head, body: bytes) }
        return try RegistrationAnswer(json: try JSON(parsing: bytes))
    }
}
