import PosternPolicy
import PosternSandboxWire

/// The worker's end of the control socket of one proxy process.
package final class EgressLink: Sendable {
    /// What the proxy reports; ends when the process is gone or says something malformed. For one reader.
    package let reports: AsyncStream<EgressReport>
    private let socket: ControlSocket

    /// Owns `descriptor`, the worker's end of a socket pair.
    package init(descriptor: Int32) {
        let socket = ControlSocket(descriptor: descriptor)
        self.socket = socket
        let messages = IteratorBox(socket.messages)
        reports = AsyncStream {
            guard let message = await messages.next() else { return nil }
            guard message.descriptors.isEmpty, let report = try? EgressReport(json: message.body) else {
                // A process that speaks otherwise is not trusted with anything more.
                socket.close()
                return nil
            }
            return report
        }
    }

    /// Sends in order. The proxy owns the descriptor of a `listen` from here on.
    package func send(_ command: EgressCommand) {
        let (body, descriptors) = command.message
        socket.send(ControlMessage(body, descriptors: descriptors))
    }

    /// Ends the process's sessions. Idempotent.
    package func close() { socket.close() }
}

/// One reader's place in a stream.
private actor IteratorBox {
    private let stream: AsyncStream<ControlMessage>

    init(_ stream: AsyncStream<ControlMessage>) {
        self.stream = stream
    }

    func next() async -> ControlMessage? {
        for await message in stream { return message }
        return nil
    }
}
