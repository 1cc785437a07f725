import DequeModule
import Synchronization

/// Messages on their way from one task to another. Putting one in never waits: whoever does asks for room first, and so goes no faster than the
/// reader does.
final class MessageQueue<Element: Sendable>: Sendable {
    enum Next: Sendable {
        case element(Element)
        /// Somebody wanted the reader to look up.
        case nudge
        case end
    }

    private struct State {
        var elements = Deque<(element: Element, bytes: Int)>()
        var bytes = 0
        var isFinished = false
        var isNudged = false
        var readers: [AsyncStream<Void>.Continuation] = []
        var writers: [AsyncStream<Void>.Continuation] = []

        mutating func takeReaders() -> [AsyncStream<Void>.Continuation] {
            defer { readers = [] }
            return readers
        }

        mutating func takeWriters() -> [AsyncStream<Void>.Continuation] {
            defer { writers = [] }
            return writers
        }
    }

    private let limit: Int
    private let state = Mutex(State())

    /// - Parameter limit: bytes from which on there is no room.
    init(limit: Int) { self.limit = limit }

    /// Returns when there is room, when nothing is taken any more, or when the task is cancelled.
    func room() async {
        while !Task.isCancelled {
            let (signal, wake) = AsyncStream<Void>.makeStream()
            let isThere = state.withLock { state in
                if state.isFinished || state.bytes < limit { return true }
                state.writers.append(wake)
                return false
            }
            if isThere { return }
            for await _ in signal {}
        }
    }

    /// False where nothing is taken any more.
    @discardableResult
    func push(_ element: Element, bytes: Int) -> Bool {
        let woken: [AsyncStream<Void>.Continuation]? = state.withLock { state in
            guard !state.isFinished else { return nil }
            state.elements.append((element, bytes))
            state.bytes += bytes
            return state.takeReaders()
        }
        for reader in woken ?? [] { reader.finish() }
        return woken != nil
    }

    /// What is next; `end` when all was taken and nothing more will come, or when the task is cancelled.
    func next() async -> Next {
        while !Task.isCancelled {
            let (signal, wake) = AsyncStream<Void>.makeStream()
            let next: (Next, [AsyncStream<Void>.Continuation])? = state.withLock { state in
                if let first = state.elements.popFirst() {
                    state.bytes -= first.bytes
                    return (.element(first.element), state.bytes < limit ? state.takeWriters() : [])
                }
                if state.isFinished { return (.end, []) }
                if state.isNudged {
                    state.isNudged = false
                    return (.nudge, [])
                }
                state.readers.append(wake)
                return nil
            }
            if let (next, writers) = next {
                for writer in writers { writer.finish() }
                return next
            }
            for await _ in signal {}
        }
        return .end
    }

    /// Lets a waiting reader look up.
    func nudge() {
        for reader in state.withLock({ state in
            state.isNudged = true
            return state.takeReaders()
        }) { reader.finish() }
    }

    /// Nothing more is taken; what is in it is still given out.
    func finish() {
        for waiting in state.withLock({ state in
            state.isFinished = true
            return state.takeReaders() + state.takeWriters()
        }) { waiting.finish() }
    }
}

/// A value that comes once, and that any number of tasks may wait for.
final class Awaited<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiting: [AsyncStream<Void>.Continuation] = []
    }

    private let state = Mutex(State())

    /// `nil` until it has come.
    var current: Value? { state.withLock { $0.value } }

    /// The first one counts.
    func set(_ value: Value) {
        let waiting = state.withLock { state in
            state.value = state.value ?? value
            defer { state.waiting = [] }
            return state.waiting
        }
        for waiter in waiting { waiter.finish() }
    }

    /// `nil` where the task is cancelled first.
    func get() async -> Value? {
        let (signal, wake) = AsyncStream<Void>.makeStream()
        let value = state.withLock { state in
            if state.value == nil { state.waiting.append(wake) }
            return state.value
        }
        if let value { return value }
        for await _ in signal {}
        return current
    }
}
