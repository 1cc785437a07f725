import GRDB
import Synchronization

/// Group commit: whatever waits when the writer is free becomes ONE SQLite transaction, so that many writers share one `fsync`.
///
/// Each value transaction runs inside its own savepoint. A guard that fails, or a broken constraint, undoes that savepoint and nothing
/// else. All are answered after the commit. The work happens on the queue of GRDB's writer connection, never on the cooperative pool;
/// a waiting task is suspended. Tasks wait in memory of their own, so the queue is as long as there are tasks.
final class SQLiteWriter: Sendable {
    typealias Answer = Result<Void, SQLFailure>

    struct Waiting: Sendable {
        let transaction: SQLTransaction
        let answer: @Sendable (Answer) -> Void
    }

    /// More in one commit would gain nothing and make the first one wait.
    static let largestBatch = 256

    private struct State {
        var waiting: [Waiting] = []
        var isDraining = false
    }

    private let pool: DatabasePool
    private let state = Mutex(State())

    init(_ pool: DatabasePool) { self.pool = pool }

    func commit(_ transaction: SQLTransaction) async throws(SQLFailure) {
        // No cancellation handler on purpose: what was handed in happens, and its caller learns the true outcome.
        let answer = await withUnsafeContinuation { (continuation: UnsafeContinuation<Answer, Never>) in
            enqueue(Waiting(transaction: transaction) { continuation.resume(returning: $0) })
        }
        try answer.get()
    }

    private func enqueue(_ waiting: Waiting) {
        let mustStart = state.withLock { state in
            state.waiting.append(waiting)
            defer { state.isDraining = true }
            return !state.isDraining
        }
        if mustStart { pool.asyncWriteWithoutTransaction { [self] connection in drain(connection) } }
    }

    private func drain(_ connection: Database) {
        while true {
            let batch = state.withLock { state -> [Waiting] in
                let batch = Array(state.waiting.prefix(Self.largestBatch))
                state.waiting.removeFirst(batch.count)
                if batch.isEmpty { state.isDraining = false }
                return batch
            }
            if batch.isEmpty { return }
            for (waiting, answer) in zip(batch, Self.answers(batch.map(\.transaction), on: connection)) { waiting.answer(answer) }
        }
    }

    /// Runs the batch in one transaction. When that finds no room on the disk, each is tried alone: a small one may still fit.
    private static func answers(_ batch: [SQLTransaction], on connection: Database) -> [Answer] {
        do throws(BatchFailure) {
            return try commit(batch, on: connection)
        } catch {
            guard error.isFull, batch.count > 1 else { return batch.map { _ in .failure(error.failure) } }
            return batch.flatMap { transaction -> [Answer] in
                do throws(BatchFailure) {
                    return try commit([transaction], on: connection)
                } catch {
                    return [.failure(error.failure)]
                }
            }
        }
    }

    /// The database could not go on; nothing of the batch has happened.
    private struct BatchFailure: Error {
        var failure: SQLFailure
        var isFull: Bool

        init(_ error: any Error) {
            failure = (error as? SQLFailure) ?? SQLiteRunner.failure(error)
            isFull = (error as? DatabaseError)?.resultCode == .SQLITE_FULL
            if case .unavailable(let message)? = error as? SQLFailure { isFull = message.hasPrefix(SQLiteRunner.diskFull) }
        }
    }

    private static func commit(_ batch: [SQLTransaction], on connection: Database) throws(BatchFailure) -> [Answer] {
        do {
            try run("BEGIN IMMEDIATE", on: connection)
            var answers: [Answer] = []
            answers.reserveCapacity(batch.count)
            for transaction in batch { answers.append(try apply(transaction, on: connection)) }
            try run("COMMIT", on: connection)
            return answers
        } catch {
            // SQLite may have rolled back by itself already.
            if connection.isInsideTransaction { try? connection.rollback() }
            throw BatchFailure(error)
        }
    }

    /// Answers for one transaction; throws only what stops the whole batch.
    private static func apply(_ transaction: SQLTransaction, on connection: Database) throws -> Answer {
        try run("SAVEPOINT one", on: connection)
        do throws(SQLFailure) {
            try SQLiteRunner.apply(transaction, on: connection)
        } catch .unavailable(let message) {
            throw SQLFailure.unavailable(message)
        } catch {
            try run("ROLLBACK TO one", on: connection)
            try run("RELEASE one", on: connection)
            return .failure(error)
        }
        try run("RELEASE one", on: connection)
        return .success(())
    }

    private static func run(_ sql: String, on connection: Database) throws {
        try connection.cachedStatement(sql: sql).execute()
    }
}
