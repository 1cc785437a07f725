/// The automaton followed with the places where matches began: slower than `LazyDFA`, used only around a match. Of the ways that lead to
/// one state, the one that began first is kept, since it covers the others.
struct ThreadSet: Sendable {
    /// A match: which needle, and where it began.
    struct Hit: Sendable, Equatable {
        var needle: Int32
        var start: Int
    }

    private var states: [Int32] = []
    private var starts: [Int] = []
    private var nextStates: [Int32] = []
    private var nextStarts: [Int] = []
    /// Where a state is in `nextStates`, valid if its stamp is the present one.
    private var slot: [Int32] = []
    private var stamp: [UInt32] = []
    private var now: UInt32 = 0

    var isEmpty: Bool { states.isEmpty }
    /// Where the oldest match under way began.
    var firstStart: Int? { starts.min() }

    mutating func clear() {
        states.removeAll(keepingCapacity: true)
        starts.removeAll(keepingCapacity: true)
    }

    /// Consumes the byte at `position`; `guards` are those that the byte before it trips. Appends the matches that end with it.
    mutating func step(_ byte: UInt8, at position: Int, guards: UInt8, _ automaton: Automaton, hits: inout [Hit]) {
        if slot.count != automaton.stateCount {
            slot = [Int32](repeating: 0, count: automaton.stateCount)
            stamp = [UInt32](repeating: 0, count: automaton.stateCount)
            now = 0
        }
        if now == .max {
            for index in stamp.indices { stamp[index] = 0 }
            now = 0
        }
        now += 1
        nextStates.removeAll(keepingCapacity: true)
        nextStarts.removeAll(keepingCapacity: true)
        for index in states.indices {
            let state = Int(states[index])
            for entry in Int(automaton.followStart[state])..<Int(automaton.followStart[state + 1]) {
                let candidate = automaton.follow[entry]
                if automaton.set(of: Int(candidate), contains: byte) { add(candidate, starts[index]) }
            }
        }
        for entry in Int(automaton.initialStart[Int(byte)])..<Int(automaton.initialStart[Int(byte) + 1])
        where automaton.initialGuard[entry] & guards == 0 {
            add(automaton.initial[entry], position)
        }
        swap(&states, &nextStates)
        swap(&starts, &nextStarts)
        for index in states.indices where automaton.isAccepting(Int(states[index])) {
            for needle in automaton.accepts(in: Int(states[index])) { hits.append(Hit(needle: needle, start: starts[index])) }
        }
    }

    private mutating func add(_ state: Int32, _ start: Int) {
        let index = Int(state)
        if stamp[index] == now {
            nextStarts[Int(slot[index])] = min(nextStarts[Int(slot[index])], start)
        } else {
            stamp[index] = now
            slot[index] = Int32(nextStates.count)
            nextStates.append(state)
            nextStarts.append(start)
        }
    }
}
