import Dispatch
import PosternJSON
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Follows the egress decisions of a worker on this machine, over its control socket.
package final class EgressFollowing: Sendable {
    package enum Line: Sendable, Hashable {
        case decision(EgressDecision)
        /// So many were lost here, because this end was slow.
        case missed(Int)

        package var json: JSON {
            switch self {
            case .decision(let decision): decision.json
            case .missed(let lines): ["type": "missed", "lines": JSON(lines)]
            }
        }
    }

    package enum End: Sendable, Hashable {
        /// The worker has ended in order.
        case worker
        /// The worker is gone without a word.
        case lost
        /// `stop()` was called.
        case stopped
    }

    private struct State {
        var socket: Int32 = -1
        var isStopped = false
    }
    private let state = Mutex(State())
    private let folder: String
    private static let queue = DispatchQueue(label: "postern.worker.following", attributes: .concurrent)

    package init(stateFolder: String) { folder = stateFolder }

    /// Hands each line to `take`, in order, until the worker ends or `stop()` is called. `take` may be slow and may block: it is called on a
    /// thread of its own, and then lines are lost, which a `missed` line says.
    package func run(
        session: String?, learns: Bool, _ take: @escaping @Sendable (Line) -> Void
    ) async throws(LocalControlError) -> End {
        let result: Result<End, LocalControlError> = await withCheckedContinuation { done in
            Self.queue.async {
                do {
                    done.resume(returning: .success(try self.follow(.egress(session: session, learns: learns), take)))
                } catch {
                    done.resume(returning: .failure(error as? LocalControlError ?? LocalControlError("\(error)")))
                }
            }
        }
        return try result.get()
    }

    /// Ends `run`, as soon as `take` returns.
    package func stop() {
        state.withLock { state in
            state.isStopped = true
            if state.socket >= 0 { shutdown(state.socket, Int32(SHUT_RDWR)) }
        }
    }

    private func follow(_ request: LocalControlRequest, _ take: (Line) -> Void) throws -> End {
        let socket = try LocalControlSocket.connect(in: folder)
        let isStopped = state.withLock { state in
            state.socket = socket
            return state.isStopped
        }
        defer {
            state.withLock { $0.socket = -1 }
            close(socket)
        }
        if isStopped { return .stopped }
        guard LocalControlSocket.isTrustedByRoot(socket) else { throw LocalControlError("the control socket in '\(folder)' is another user's") }
        guard LocalControlSocket.send(LocalControlLine.encoded(request.json), socket) else { return .lost }
        var isFirst = true
        var end: End?
        try LocalControlSocket.receiveLines(socket, limit: LocalControlLine.replyLimit) { bytes in
            guard let json = try? JSON(parsing: bytes) else { throw LocalControlError("the worker's line is no JSON") }
            if isFirst {
                isFirst = false
                if let error = try LocalControlReply(json: json).error { throw LocalControlError(error) }
                return
            }
            switch json["type"]?.string {
            case "end": end = .worker
            case "missed": take(.missed(json["lines"]?.int ?? 0))
            default: take(.decision(try EgressDecision(json: json)))
            }
        }
        if state.withLock({ $0.isStopped }) { return .stopped }
        guard !isFirst else {
            throw LocalControlError("the worker closed its control socket without an answer; it accepts its own user and root only")
        }
        return end ?? .lost
    }
}
