import Synchronization

/// What both directions of a connection count together, and how it ended: the first end counts.
final class ForwardTotals: Sendable {
    private struct State {
        var outcome = ForwardOutcome()
        var isBegun = false
        var isEnded = false
        var saidGoodbye = false
        var clientIsBetweenMessages = true
    }
    private let state = Mutex(State())

    /// The target is about to be dialled; from here on the connection has an outcome.
    func begin() { state.withLock { $0.isBegun = true } }

    func end(_ end: ForwardOutcome.End) {
        state.withLock { state in
            guard !state.isEnded else { return }
            state.isEnded = true
            state.outcome.end = end
        }
    }

    func count(sent: Int = 0, received: Int = 0, statements: Int = 0, errors: Int = 0) {
        state.withLock { state in
            state.outcome.sent += sent
            state.outcome.received += received
            state.outcome.statements += statements
            state.outcome.errors += errors
        }
    }

    /// The client sent Terminate: the database will close, as it should.
    func goodbye() { state.withLock { $0.saidGoodbye = true } }
    var saidGoodbye: Bool { state.withLock(\.saidGoodbye) }

    /// Whether a message of the proxy's own can be put into what the client reads.
    var mayAddressClient: Bool {
        get { state.withLock(\.clientIsBetweenMessages) }
        set { state.withLock { $0.clientIsBetweenMessages = newValue } }
    }

    var isEnded: Bool { state.withLock(\.isEnded) }

    /// `nil` for a connection that asked for nothing.
    var outcome: ForwardOutcome? { state.withLock { $0.isBegun || $0.isEnded ? $0.outcome : nil } }
}
