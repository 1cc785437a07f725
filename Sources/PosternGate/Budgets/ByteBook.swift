import Dispatch
import PosternAudit
import PosternJSON
import Synchronization

/// The ledger of a process, kept in a file if one is given. What the file says is never less than what has left: it runs ahead by
/// `margin`, so that a result costs no write of its own and a kill can only make the count too high.
package final class ByteBook: Sendable {
    /// Bytes for each count.
    package static let margin = 256 << 10

    fileprivate struct State {
        var ledger = ByteLedger()
        /// What the file allows for: counts up to these need no write.
        var written = ByteLedger()
    }

    private let path: String?
    private let queue = DispatchQueue(label: "postern.byte-book")
    private let state: Mutex<State>

    /// A book that is forgotten with the process.
    package init() {
        path = nil
        state = Mutex(State())
    }

    /// Opens or begins the file (0600). A file that cannot be read as a ledger is an error: a budget does not begin anew because somebody
    /// damaged it. `keptFrom`: sessions that were last charged before that day (`YYYY-MM-DD`) are dropped. Blocks; for start-up.
    package init(path: String, keptFrom: String = "") throws(FileError) {
        var state = State()
        if let bytes = try SmallFile.read(path) {
            guard let json = try? JSON(parsing: bytes), let ledger = ByteLedger(json: json) else {
                throw FileError(action: "use", path: path, reason: "it is no ledger of bytes; restore it, or remove it to begin all budgets anew")
            }
            state.ledger = ledger
            state.ledger.forget(sessionsBefore: keptFrom)
            state.written = ledger
        }
        self.path = path
        self.state = Mutex(state)
    }

    /// Counts the bytes or says why they may not leave. Returns once a restart would count them too, if there is a bound that asks for it;
    /// otherwise the file gets the counts at an orderly end.
    package func charge(_ charge: ByteCharge, _ limits: ByteLimits) async throws(FileError) -> BudgetRefusal? {
        let (refusal, isCovered) = state.withLock { state in
            let refusal = state.ledger.charge(charge, limits)
            return (refusal, refusal != nil || !limits.needsMemory || state.covers(charge))
        }
        if !isCovered { try await save(ahead: true) }
        return refusal
    }

    /// Counts bytes that leave whatever the limits say. `limits` nil: a bound may be asked for later, so that the file is always kept up.
    package func add(_ charge: ByteCharge, _ limits: ByteLimits? = nil) async throws(FileError) {
        let isCovered = state.withLock { state in
            state.ledger.add(charge, keeping: Set(limits.map { Array($0.perHost.keys) } ?? []))
            return limits.map { !$0.needsMemory } ?? false || state.covers(charge)
        }
        if !isCovered { try await save(ahead: true) }
    }

    /// Bytes of all sessions on that day (`YYYY-MM-DD`), if it is the last that anything was charged on.
    package func bytes(day: String) -> Int { state.withLock { $0.ledger.day == day ? $0.ledger.dayBytes : 0 } }

    /// Bytes of a session so far.
    package func bytes(session id: String) -> Int { state.withLock { $0.ledger.sessions[id]?.bytes ?? 0 } }

    /// All counts of a session so far.
    package func count(session id: String) -> ByteLedger.Session { state.withLock { $0.ledger.sessions[id] ?? ByteLedger.Session() } }

    /// Drops a session that is over, and returns its bytes.
    @discardableResult
    package func forget(session id: String) -> Int {
        state.withLock { state in
            defer { state.ledger.forget(session: id) }
            return state.ledger.sessions[id]?.bytes ?? 0
        }
    }

    /// Writes the counts as they are. For an orderly end.
    package func finish() async throws(FileError) { try await save(ahead: false) }

    private func save(ahead: Bool) async throws(FileError) {
        guard let path else { return }
        let result: Result<Void, FileError> = await withCheckedContinuation { done in
            queue.async {
                // Whoever waited for the write before this one is covered by this one too.
                let ledger = self.state.withLock { $0.ledger }
                var image = ledger
                if ahead { image.raise(by: Self.margin) }
                do throws(FileError) {
                    // On the way only as safe as a kill of the process needs; the disk is waited for at the end.
                    try SmallFile.write(image.json.encoded, to: path, durable: !ahead)
                    self.state.withLock { $0.written = image }
                    done.resume(returning: .success(()))
                } catch {
                    done.resume(returning: .failure(error))
                }
            }
        }
        try result.get()
    }
}

extension ByteBook.State {
    /// Whether the file allows for what the ledger holds of the charge's session.
    fileprivate func covers(_ charge: ByteCharge) -> Bool {
        guard let session = ledger.sessions[charge.session], let image = written.sessions[charge.session] else { return false }
        guard ledger.day == written.day, ledger.dayBytes <= written.dayBytes, session.bytes <= image.bytes else { return false }
        return session.byHost.allSatisfy { $0.value <= image.byHost[$0.key] ?? 0 }
    }
}
