import CPosternSandbox
import Dispatch
import PosternSandboxWire
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A control socket: whole messages with their descriptors in and out, in order. Work is done on one serial queue and never blocks.
final class ControlSocket: Sendable {
    /// What the peer sends; ends when the peer is gone, sends something malformed, or `close` is called. For one reader.
    let messages: AsyncStream<ControlMessage>

    private struct State {
        var reader: FrameReader
        var writer = FrameWriter()
        var isClosed = false
        var isWaitingToWrite = false
    }

    private let descriptor: Int32
    private let continuation: AsyncStream<ControlMessage>.Continuation
    private let state: Mutex<State>
    private let queue = DispatchQueue(label: "postern.egress.control")
    private let sources: Mutex<Sources>

    private struct Sources {
        let reading: any DispatchSourceRead
        let writing: any DispatchSourceWrite
    }

    /// Owns `descriptor`, a stream socket. Messages of more than `maximumLength` bytes end it.
    init(descriptor: Int32, maximumLength: Int = 16 << 20) {
        self.descriptor = descriptor
        (messages, continuation) = AsyncStream.makeStream()
        state = Mutex(State(reader: FrameReader(maximumLength: maximumLength)))
        sources = Mutex(
            Sources(
                reading: DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue),
                writing: DispatchSource.makeWriteSource(fileDescriptor: descriptor, queue: queue)))
        // The descriptor may be closed only when neither source watches it any more.
        let watching = Mutex(2)
        let release = { @Sendable in
            let isLast = watching.withLock { count in
                count -= 1
                return count == 0
            }
            if isLast { Self.closeDescriptor(descriptor) }
        }
        sources.withLock { sources in
            sources.reading.setEventHandler { [weak self] in self?.receive() }
            sources.writing.setEventHandler { [weak self] in self?.flush() }
            sources.reading.setCancelHandler(handler: release)
            sources.writing.setCancelHandler(handler: release)
            sources.reading.resume()
        }
    }

    deinit { close() }

    /// Sends in order; whatever cannot be sent because the peer is gone is dropped, and its descriptors are closed.
    func send(_ message: ControlMessage) {
        let isOpen = state.withLock { state in
            if !state.isClosed { state.writer.append(message) }
            return !state.isClosed
        }
        if isOpen { flush() } else { message.descriptors.forEach(Self.closeDescriptor) }
    }

    /// Ends both directions. Idempotent.
    func close() {
        let (isFirst, wasWaiting, descriptors) = state.withLock { state in
            defer { state.isClosed = true }
            return (!state.isClosed, state.isWaitingToWrite, state.reader.unclaimed() + state.writer.unsent())
        }
        descriptors.forEach(Self.closeDescriptor)
        guard isFirst else { return }
        continuation.finish()
        sources.withLock { sources in
            // A source that is suspended cannot be cancelled.
            if !wasWaiting { sources.writing.resume() }
            sources.reading.cancel()
            sources.writing.cancel()
        }
    }

    private func receive() {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        var descriptors = [Int32](repeating: -1, count: Int(PSB_MAXIMUM_DESCRIPTORS))
        while true {
            var count = 0
            let received = bytes.withUnsafeMutableBytes { psb_receive(descriptor, $0.baseAddress, $0.count, &descriptors, &count) }
            if received == -Int(EAGAIN) { return }
            guard received > 0 else { return close() }
            do {
                let messages = try state.withLock { state throws(FrameError) in
                    bytes[..<received].withUnsafeBytes { state.reader.append($0, descriptors: descriptors[..<count]) }
                    var messages: [ControlMessage] = []
                    while let message = try state.reader.next() { messages.append(message) }
                    return messages
                }
                for message in messages { continuation.yield(message) }
            } catch {
                return close()
            }
        }
    }

    private func flush() {
        let (sent, failed) = state.withLock { state -> ([Int32], Bool) in
            guard !state.isClosed else { return ([], false) }
            var failed = false
            let sent = state.writer.flush { bytes, descriptors in
                let result = psb_send(descriptor, bytes.baseAddress, bytes.count, descriptors, descriptors.count)
                if result < 0, result != -Int(EAGAIN) { failed = true }
                return max(0, result)
            }
            let mustWait = !state.writer.isEmpty && !failed
            if mustWait != state.isWaitingToWrite {
                state.isWaitingToWrite = mustWait
                sources.withLock { if mustWait { $0.writing.resume() } else { $0.writing.suspend() } }
            }
            return (sent, failed)
        }
        sent.forEach(Self.closeDescriptor)
        if failed { close() }
    }

    private static func closeDescriptor(_ descriptor: Int32) {
        #if canImport(Glibc)
        _ = Glibc.close(descriptor)
        #else
        _ = Darwin.close(descriptor)
        #endif
    }
}
