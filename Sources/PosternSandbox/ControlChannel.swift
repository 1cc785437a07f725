import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire
import Synchronization

/// One control socket on the worker's side. Messages and the end are told to the handlers on the reactor's thread, so they must be quick.
final class ControlChannel: Sendable {
    private struct State {
        /// -1 when closed.
        var descriptor: Int32
        var reader: FrameReader
        var writer = FrameWriter()
    }
    private let state: Mutex<State>
    private let reactor: ControlReactor
    private let onMessage: @Sendable (ControlMessage) -> Void
    private let onEnd: @Sendable (String) -> Void

    /// Takes over `descriptor`. The handlers hold whatever owns this channel until the socket ends.
    init(
        _ descriptor: Int32, _ reactor: ControlReactor, onMessage: @escaping @Sendable (ControlMessage) -> Void,
        onEnd: @escaping @Sendable (String) -> Void
    ) {
        // Inline messages of an init are below a megabyte; its bulk comes as descriptors.
        state = Mutex(State(descriptor: descriptor, reader: FrameReader(maximumLength: 4 << 20)))
        self.reactor = reactor
        self.onMessage = onMessage
        self.onEnd = onEnd
    }

    func open() {
        let descriptor = state.withLock { $0.descriptor }
        if descriptor >= 0 { reactor.add(self, descriptor) }
    }

    /// Queues a message and sends what the socket takes. Takes over the descriptors. `false` when the socket has ended.
    @discardableResult
    func send(_ body: JSON, descriptors: [Int32] = []) -> Bool {
        state.withLock { state in
            guard state.descriptor >= 0 else {
                for descriptor in descriptors { Glibc.close(descriptor) }
                return false
            }
            state.writer.append(ControlMessage(body, descriptors: descriptors))
            flush(&state)
            return true
        }
    }

    private func flush(_ state: inout State) {
        let socket = state.descriptor
        let sent = state.writer.flush { bytes, descriptors in max(0, psb_send(socket, bytes.baseAddress, bytes.count, descriptors, descriptors.count))
        }
        for descriptor in sent { Glibc.close(descriptor) }
        reactor.watch(socket, writing: !state.writer.isEmpty)
    }

    /// Ends the socket; `onEnd` follows.
    func close(_ reason: String) {
        let descriptor = state.withLock { state -> Int32 in
            let descriptor = state.descriptor
            guard descriptor >= 0 else { return -1 }
            for left in state.reader.unclaimed() + state.writer.unsent() { Glibc.close(left) }
            reactor.remove(self, descriptor)
            Glibc.close(descriptor)
            state.descriptor = -1
            return descriptor
        }
        if descriptor >= 0 { onEnd(reason) }
    }

    /// On the reactor's thread.
    func isReady() {
        let (messages, failure) = state.withLock { state -> ([ControlMessage], String?) in
            guard state.descriptor >= 0 else { return ([], nil) }
            if !state.writer.isEmpty { flush(&state) }
            return receive(&state)
        }
        for message in messages { onMessage(message) }
        if let failure { close(failure) }
    }

    private func receive(_ state: inout State) -> ([ControlMessage], String?) {
        var count = 0
        var descriptors = [Int32](repeating: -1, count: Int(PSB_MAXIMUM_DESCRIPTORS))
        let socket = state.descriptor
        let received = withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            let received = psb_receive(socket, buffer.baseAddress, buffer.count, &descriptors, &count)
            if received > 0 {
                state.reader.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<received]), descriptors: descriptors[..<count])
            }
            return received
        }
        if received == -Int(EAGAIN) { return ([], nil) }
        var messages: [ControlMessage] = []
        do throws(FrameError) {
            while let message = try state.reader.next() { messages.append(message) }
        } catch {
            return (messages, error.description)
        }
        return (messages, received <= 0 ? "the other end is gone" : nil)
    }
}
