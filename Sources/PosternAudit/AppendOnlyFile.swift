import Dispatch
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A file that only grows, line by line, and knows when a line is on the disk. Lines of many writers are written together and share
/// one `fdatasync` (group commit). All system calls run on a queue of its own, never on the cooperative pool.
///
/// It fails closed: after a failed write or flush every later `append` throws, so nothing runs that could not be recorded.
package final class AppendOnlyFile: Sendable {
    private struct Pending {
        var bytes: [UInt8]
        /// Resumed once the bytes are on the disk (`durable`) or handed to the kernel.
        var waiter: CheckedContinuation<Void, any Error>
        var durable: Bool
    }

    private struct State {
        var pending: [Pending] = []
        var isScheduled = false
        var failure: FileError?
        var isClosed = false
    }

    private let descriptor: Int32
    private let path: String
    private let queue: DispatchQueue
    private let state = Mutex(State())

    /// Opens or creates the file with mode 0600. A link, anything but a regular file, or another user's file is refused.
    package init(path: String) throws(FileError) {
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileError("open", path) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = FileError("stat", path)
            close(descriptor)
            throw error
        }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(), fchmod(descriptor, 0o600) == 0 else {
            close(descriptor)
            throw FileError(action: "open", path: path, reason: "not a regular file of this user")
        }
        self.descriptor = descriptor
        self.path = path
        queue = DispatchQueue(label: "postern.append-only-file")
    }

    deinit { close(descriptor) }

    /// Appends one line (a newline is added) and returns when the kernel has it, or with `durable` when the disk has it.
    /// A process that is killed loses nothing that was appended; a machine that loses power loses nothing that was durable.
    package func append(_ line: [UInt8], durable: Bool) async throws(FileError) {
        do {
            try await withCheckedThrowingContinuation { (waiter: CheckedContinuation<Void, any Error>) in
                let refusal: FileError? = state.withLock { state in
                    if let failure = state.failure { return failure }
                    if state.isClosed { return FileError(action: "append to", path: path, reason: "it is closed") }
                    state.pending.append(Pending(bytes: line + [0x0A], waiter: waiter, durable: durable))
                    if !state.isScheduled {
                        state.isScheduled = true
                        queue.async { self.flush() }
                    }
                    return nil
                }
                if let refusal { waiter.resume(throwing: refusal) }
            }
        } catch {
            throw error as? FileError ?? FileError(action: "append to", path: path, reason: "\(error)")
        }
    }

    /// Writes what is pending and flushes it to the disk; later appends are refused.
    package func finish() async {
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            state.withLock { $0.isClosed = true }
            queue.async {
                self.flush()
                fdatasync(self.descriptor)
                done.resume()
            }
        }
    }

    /// One round: everything that has come together since the last one.
    private func flush() {
        let batch = state.withLock { state in
            defer { state.pending = [] }
            state.isScheduled = false
            return state.pending
        }
        guard !batch.isEmpty else { return }
        var failure: FileError?
        do throws(FileError) {
            try SmallFile.writeAll(batch.flatMap(\.bytes), to: descriptor, path)
        } catch {
            failure = error
        }
        if failure == nil, batch.contains(where: \.durable), fdatasync(descriptor) != 0 { failure = FileError("flush", path) }
        if let failure { state.withLock { $0.failure = failure } }
        for pending in batch {
            if let failure { pending.waiter.resume(throwing: failure) } else { pending.waiter.resume() }
        }
    }
}

#if canImport(Darwin)
private func fdatasync(_ descriptor: Int32) -> Int32 { fsync(descriptor) }
#endif
