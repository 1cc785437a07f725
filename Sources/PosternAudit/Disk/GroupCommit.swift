import Dispatch
import Synchronization

/// Brings together what many tasks want written at the same time, so that they share one write and one flush. The commits run one after
/// another on a queue of their own, never on the cooperative pool.
///
/// It fails closed: after a failed commit every later one is refused, so nothing runs that could not be recorded.
package final class GroupCommit<Item: Sendable>: Sendable {
    /// Brings items to the disk, in this order; with `durable`, past the disk's cache too. Blocks.
    package typealias Commit = @Sendable (_ items: [Item], _ durable: Bool) throws(FileError) -> Void
    /// Something else that must not overlap a commit. Blocks.
    package typealias Work = @Sendable () throws(FileError) -> Void

    private struct Pending {
        var items: [Item]
        var waiter: CheckedContinuation<FileError?, Never>
        var durable: Bool
    }

    private struct State {
        var pending: [Pending] = []
        var isScheduled = false
        var failure: FileError?
        var isClosed = false
    }

    private let path: String
    private let queue: DispatchQueue
    private let state = Mutex(State())
    private let commit: Commit
    private let afterwards: Work

    /// - Parameters:
    ///   - path: for errors.
    ///   - afterwards: runs after each commit, when its waiters have gone on.
    package init(path: String, commit: @escaping Commit, afterwards: @escaping Work = { () throws(FileError) in }) {
        self.path = path
        self.commit = commit
        self.afterwards = afterwards
        queue = DispatchQueue(label: "postern.group-commit")
    }

    /// Returns when the commit that holds these items is done.
    package func append(_ items: [Item], durable: Bool) async throws(FileError) {
        let failure = await withCheckedContinuation { (waiter: CheckedContinuation<FileError?, Never>) in
            let refusal: FileError? = state.withLock { state in
                if let failure = state.failure { return failure }
                if state.isClosed { return FileError(action: "append to", path: path, reason: "it is closed") }
                state.pending.append(Pending(items: items, waiter: waiter, durable: durable))
                if !state.isScheduled {
                    state.isScheduled = true
                    queue.async { self.flush() }
                }
                return nil
            }
            if let refusal { waiter.resume(returning: refusal) }
        }
        if let failure { throw failure }
    }

    /// Runs `work` between two commits, unless one has failed or this is closed. Does not wait.
    package func perform(_ work: @escaping Work) {
        queue.async {
            guard self.state.withLock({ $0.failure == nil && !$0.isClosed }) else { return }
            self.guarded(work)
        }
    }

    /// Commits what is pending, runs `last` unless a commit has failed, and refuses everything from then on.
    package func finish(_ last: @escaping Work) async {
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            let isFirst = state.withLock { state in
                defer { state.isClosed = true }
                return !state.isClosed
            }
            queue.async {
                self.flush()
                if isFirst, self.state.withLock({ $0.failure == nil }) { self.guarded(last) }
                done.resume()
            }
        }
    }

    /// One round: everything that has come together since the last one.
    private func flush() {
        let (batch, earlier) = state.withLock { state in
            defer { state.pending = [] }
            state.isScheduled = false
            return (state.pending, state.failure)
        }
        guard !batch.isEmpty else { return }
        var failure = earlier
        if failure == nil {
            do throws(FileError) {
                try commit(batch.flatMap(\.items), batch.contains(where: \.durable))
            } catch {
                failure = error
                state.withLock { $0.failure = error }
            }
        }
        for pending in batch { pending.waiter.resume(returning: failure) }
        if failure == nil { guarded(afterwards) }
    }

    private func guarded(_ work: Work) {
        do throws(FileError) {
            try work()
        } catch {
            state.withLock { $0.failure = error }
        }
    }
}
