/// The life of a sandbox between frozen and running. A value without I/O: the kernel takes its time to freeze many processes, more may
/// ask meanwhile, and the last word counts.
package struct FreezeMachine: Sendable {
    package enum Input: Sendable {
        /// `request` is answered when every process stands still.
        case freeze(request: Int)
        /// `request` is answered when they run again.
        case thaw(request: Int)
        /// What the kernel says now.
        case observed(isFrozen: Bool)
        /// Nothing of the sandbox is left.
        case ended
    }

    package enum Action: Sendable, Equatable {
        /// Tell the kernel. Repeated at every observation until it is so: a process that forks may slip through once.
        case set(frozen: Bool)
        case answer(requests: [Int])
        /// What was asked for cannot come any more.
        case refuse(requests: [Int], reason: String)
    }

    /// What was asked for last.
    package private(set) var isToBeFrozen = false
    private var waiting: [Int] = []
    private var isSettled = true
    private var isOver = false

    package init() {}

    /// The kernel is to be asked again soon.
    package var isWaiting: Bool { !isSettled && !isOver }

    package mutating func handle(_ input: Input) -> [Action] {
        switch input {
        case .freeze(let request): return ask(request, frozen: true)
        case .thaw(let request): return ask(request, frozen: false)
        case .observed(let isFrozen):
            guard isWaiting else { return [] }
            guard isFrozen == isToBeFrozen else { return [.set(frozen: isToBeFrozen)] }
            isSettled = true
            defer { waiting = [] }
            return waiting.isEmpty ? [] : [.answer(requests: waiting)]
        case .ended:
            isOver = true
            defer { waiting = [] }
            guard !waiting.isEmpty else { return [] }
            return isToBeFrozen ? [.answer(requests: waiting)] : [.refuse(requests: waiting, reason: "the sandbox has ended")]
        }
    }

    private mutating func ask(_ request: Int, frozen: Bool) -> [Action] {
        guard !isOver else {
            // Nothing runs of what has ended, which is all that a freeze is for.
            return frozen ? [.answer(requests: [request])] : [.refuse(requests: [request], reason: "the sandbox has ended")]
        }
        if isToBeFrozen == frozen {
            guard !isSettled else { return [.answer(requests: [request])] }
            waiting.append(request)
            return []
        }
        let overruled = waiting
        waiting = [request]
        isToBeFrozen = frozen
        isSettled = false
        let refusal = Action.refuse(requests: overruled, reason: frozen ? "a later freeze overruled it" : "a later thaw overruled it")
        return (overruled.isEmpty ? [] : [refusal]) + [.set(frozen: frozen)]
    }
}
