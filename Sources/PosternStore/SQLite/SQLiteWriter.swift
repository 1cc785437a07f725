import GRDB
import Synchronization

/// Group commit: whatever waits when the writer is free becomes ONE SQLite transaction, so that many writers share one `fsync`.
///
/// A batch first runs without savepoints. A transaction that is refused at its first step has changed nothing and needs none. When one
/// is refused later, the batch is undone and runs again with a savepoint around each: the refused one undoes its own and nothing else.
/// All are answered after the commit. The work happens on the queue of GRDB's writer connection, never on the cooperative pool; a
/// waiting task is suspended. Tasks wait in memory of their own, so the queue is as long as there are tasks.
final class SQLiteWriter: Sendable {
    typealias Answer = Result<Void, SQLFailure>

    struct Waiting: Sendable {
        let transaction: SQLTransaction
        let since = ContinuousClock.now
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

    private let observer: StoreObserver

    init(_ pool: DatabasePool, observer: StoreObserver) {
        self.pool = pool
        self.observer = observer
    }

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
            let answers = Self.answers(batch.map(\.transaction), on: connection)
            observe(batch, answers)
            for (waiting, answer) in zip(batch, answers) { waiting.answer(answer) }
        }
    }

    private func observe(_ batch: [Waiting], _ answers: [Answer]) {
        let now = ContinuousClock.now
        var durations: [Duration] = []
        for (waiting, answer) in zip(batch, answers) {
            switch answer {
            case .success: durations.append(now - waiting.since)
            case .failure(let failure): observer.failed(failure)
            }
        }
        if !durations.isEmpty { observer.committed(durations) }
    }

    /// Runs the batch in one transaction. When that finds no room on the disk, each is tried alone: a small one may still fit.
    private static func answers(_ batch: [SQLTransaction], on connection: Database) -> [Answer] {
        do throws(SQLFailure) {
            return try commit(batch, on: connection)
        } catch {
            guard batch.count > 1, case .unavailable(let message) = error, message.hasPrefix(SQLiteRunner.diskFull) else {
                return batch.map { _ in .failure(error) }
            }
            return batch.flatMap { transaction -> [Answer] in
                do throws(SQLFailure) {
                    return try commit([transaction], on: connection)
                } catch {
                    return [.failure(error)]
                }
            }
        }
    }

    /// Throws what keeps the whole batch from happening.
    private static func commit(_ batch: [SQLTransaction], on connection: Database) throws(SQLFailure) -> [Answer] {
        if let answers = try run(batch, on: connection, each: applyPlainly) { return answers }
        return try run(batch, on: connection, each: applyInSavepoint) ?? []
    }

    /// Answers for one transaction of a batch; nil when only savepoints could undo it alone.
    private typealias Apply = (SQLTransaction, Database) throws(SQLFailure) -> Answer?

    private static func run(_ batch: [SQLTransaction], on connection: Database, each apply: Apply) throws(SQLFailure) -> [Answer]? {
        do {
            try execute("BEGIN IMMEDIATE", on: connection)
            var answers: [Answer] = []
            answers.reserveCapacity(batch.count)
            for transaction in batch {
                guard let answer = try apply(transaction, connection) else {
                    try connection.rollback()
                    return nil
                }
                answers.append(answer)
            }
            try execute("COMMIT", on: connection)
            return answers
        } catch {
            // SQLite may have rolled back by itself already.
            if connection.isInsideTransaction { try? connection.rollback() }
            throw SQLiteRunner.failure(error)
        }
    }

    private static func applyPlainly(_ transaction: SQLTransaction, on connection: Database) throws(SQLFailure) -> Answer? {
        do throws(SQLFailure) {
            try SQLiteRunner.apply(transaction, on: connection)
            return .success(())
        } catch {
            switch error {
            case .unavailable: throw error
            // An UPDATE that found nothing, or a statement that SQLite undid by itself.
            case .guardFailed(step: 0) where connection.changesCount == 0: return .failure(error)
            case .duplicate(step: 0, _): return .failure(error)
            case .guardFailed, .duplicate, .invalid: return nil
            }
        }
    }

    private static func applyInSavepoint(_ transaction: SQLTransaction, on connection: Database) throws(SQLFailure) -> Answer? {
        try execute("SAVEPOINT one", on: connection)
        do throws(SQLFailure) {
            try SQLiteRunner.apply(transaction, on: connection)
        } catch .unavailable(let message) {
            throw .unavailable(message)
        } catch {
            try execute("ROLLBACK TO one", on: connection)
            try execute("RELEASE one", on: connection)
            return .failure(error)
        }
        try execute("RELEASE one", on: connection)
        return .success(())
    }

    /// A statement that GRDB must see, because it follows the connection's transactions.
    private static func execute(_ sql: String, on connection: Database) throws(SQLFailure) {
        do {
            try connection.cachedStatement(sql: sql).execute()
        } catch {
            throw SQLiteRunner.failure(error)
        }
    }
}
