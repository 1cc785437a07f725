import Dispatch
import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Hands one follower its lines over a connection, as fast as it reads. Nothing here waits for it on a thread: a connection that takes no more
/// is left until it does, and what comes meanwhile is the backlog's matter.
struct FollowerSocket {
    let connection: Int32
    let follower: DecisionFeed.Follower
    let queue: DispatchQueue

    /// Until the follower is gone or the task is cancelled; then it is told, as far as its connection takes it, that this is the end.
    func run() async {
        _ = fcntl(connection, F_SETFL, O_NONBLOCK)
        let isGone = Signal()
        let reading = watchEnd(isGone)
        var pending: [UInt8] = []
        var writing: (any DispatchSourceWrite)?
        for await _ in follower.wake {
            if isGone.hasFired { break }
            // Taken only when what was taken before is gone: that bounds what waits.
            if pending.isEmpty { pending = follower.take() }
            guard send(&pending) else { break }
            if pending.isEmpty {
                writing?.cancel()
                writing = nil
            } else if writing?.isCancelled ?? true {
                writing = watchRoom()
            }
        }
        if !isGone.hasFired {
            pending += follower.take() + LocalControlLine.encoded(["type": "end"])
            _ = send(&pending)
        }
        writing?.cancel()
        reading?.cancel()
    }

    /// Sends what the connection takes now; `false` when the other end is gone.
    private func send(_ bytes: inout [UInt8]) -> Bool {
        var done = 0
        defer { bytes.removeFirst(done) }
        while done < bytes.count {
            let count = LocalControlSocket.sendNow(bytes[done...], connection)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN || errno == EWOULDBLOCK { return true }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    /// Wakes the follower when the connection takes bytes again.
    private func watchRoom() -> (any DispatchSourceWrite)? {
        // Each source has a descriptor of its own, which must live as long as the source.
        let copy = fcntl(connection, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { return nil }
        let source = DispatchSource.makeWriteSource(fileDescriptor: copy, queue: queue)
        source.setEventHandler { [follower] in
            source.cancel()
            follower.poke()
        }
        source.setCancelHandler { close(copy) }
        source.activate()
        return source
    }

    /// Wakes the follower when the other end has closed. What it sends is read and dropped.
    private func watchEnd(_ isGone: Signal) -> (any DispatchSourceRead)? {
        let copy = fcntl(connection, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { return nil }
        let source = DispatchSource.makeReadSource(fileDescriptor: copy, queue: queue)
        source.setEventHandler { [follower] in
            var buffer = [UInt8](repeating: 0, count: 256)
            let count = recv(copy, &buffer, buffer.count, 0)
            if count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR) { return }
            isGone.fire()
            source.cancel()
            follower.poke()
        }
        source.setCancelHandler { close(copy) }
        source.activate()
        return source
    }
}
