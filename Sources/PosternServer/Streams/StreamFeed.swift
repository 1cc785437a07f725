import NIOCore
import Synchronization

/// The bytes between a session's events and one connection. One task fills it, one empties it; the filler waits while it is full, so that a slow
/// reader holds a bounded amount of memory here.
final class StreamFeed: Sendable {
    /// Frames are added until this is passed, in bytes.
    static let capacity = 64 << 10

    private struct State {
        var pending = ByteBuffer()
        var isClosed = false
        /// Nothing more will be added; what is pending is still handed out.
        var isFinished = false
        var reader: CheckedContinuation<Void, Never>?
        var writer: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// Adds a frame, waiting for room. False when the stream is over.
    func put(_ frame: ByteBuffer) async -> Bool {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let hasRoom = state.withLock { state in
                if state.isClosed || state.pending.readableBytes < Self.capacity { return true }
                state.writer = continuation
                return false
            }
            if hasRoom { continuation.resume() }
        }
        let reader = state.withLock { state -> (isOpen: Bool, reader: CheckedContinuation<Void, Never>?) in
            guard !state.isClosed else { return (false, nil) }
            state.pending.writeImmutableBuffer(frame)
            defer { state.reader = nil }
            return (true, state.reader)
        }
        reader.reader?.resume()
        return reader.isOpen
    }

    /// Adds a sign of life, unless there is something to be sent anyway.
    func ping() {
        let reader = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.isClosed, !state.isFinished, state.pending.readableBytes == 0 else { return nil }
            state.pending.writeString(": ping\n\n")
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    /// No more frames will come.
    func finish() { wake { $0.isFinished = true } }

    /// Ends the stream now; what is pending is dropped.
    func close() {
        wake { state in
            state.isClosed = true
            state.pending.clear()
        }
    }

    /// Everything that is pending, waiting for something; nil when the stream is over. One reader at a time.
    func take() async -> ByteBuffer? {
        while true {
            let (bytes, isOver, writer) = state.withLock { state -> (ByteBuffer?, Bool, CheckedContinuation<Void, Never>?) in
                guard !state.isClosed, state.pending.readableBytes > 0 else { return (nil, state.isClosed || state.isFinished, nil) }
                defer {
                    state.pending = ByteBuffer()
                    state.writer = nil
                }
                return (state.pending, false, state.writer)
            }
            writer?.resume()
            if let bytes { return bytes }
            if isOver { return nil }
            await arrival()
        }
    }

    private func arrival() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isClosed || state.isFinished || state.pending.readableBytes > 0 { return true }
                    state.reader = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            close()
        }
    }

    private func wake(_ change: (inout sending State) -> Void) {
        let (reader, writer) = state.withLock { state in
            change(&state)
            defer {
                state.reader = nil
                state.writer = nil
            }
            return (state.reader, state.writer)
        }
        reader?.resume()
        writer?.resume()
    }
}
