/// The automaton made deterministic, state by state as the text asks for them, in bounded memory. It says where a match ends, not where it
/// began; text without any match is read at the speed of one table look-up a byte.
///
/// A state is a set of the automaton's states and the guards that the last byte trips. When the table is full it is emptied and begun anew.
struct LazyDFA: Sendable {
    /// The table never grows beyond so many bytes.
    static let mostBytes = 2 << 20

    private static let unknown = Int32.min

    private struct Key: Hashable, Sendable {
        var states: [Int32]
        var guards: UInt8
    }

    /// `table[state + class]`: the next state, `~next` if a match ends with this byte, or `unknown`. A state is its offset into the table.
    private var table: [Int32] = []
    private var keys: [Key] = []
    private var known: [Key: Int32] = [:]
    private let shift: Int
    private let mostStates: Int
    /// States below this have no match under way.
    private var quietEnd: Int32 = 0
    private let quietGuards: [UInt8]

    init(_ automaton: Automaton) {
        var shift = 3
        while 1 << shift < automaton.byteOfClass.count { shift += 1 }
        self.shift = shift
        quietGuards = Array(Set(automaton.guardsOf).union([0])).sorted()
        mostStates = max((Self.mostBytes / 4) >> shift, quietGuards.count + 16)
        reset()
    }

    /// The state in which nothing is under way, after `last`; `nil`: at the start of the text.
    func quietState(after last: UInt8?, _ automaton: Automaton) -> Int32 {
        known[Key(states: [], guards: last.map { automaton.guardsOf[Int($0)] } ?? 0)] ?? 0
    }

    /// Reads from `index` to the end, or until just after a byte with which a match ends (`true`). `quiet` becomes the index after the last
    /// byte that left no match under way.
    mutating func scan(
        _ bytes: [UInt8], index: inout Int, state: inout Int32, quiet: inout Int, _ automaton: Automaton
    ) -> Bool {
        let end = bytes.count
        while index < end {
            var current = state
            var position = index
            var quietAt = -1
            var value: Int32 = 0
            let quietEnd = quietEnd
            bytes.withUnsafeBufferPointer { bytes in
                automaton.classOf.withUnsafeBufferPointer { classes in
                    table.withUnsafeBufferPointer { table in
                        while position < end {
                            value = table[Int(current) &+ Int(classes[Int(bytes[position])])]
                            if value < 0 { break }
                            current = value
                            position &+= 1
                            quietAt = value < quietEnd ? position : quietAt
                        }
                    }
                }
            }
            if quietAt >= 0 { quiet = quietAt }
            state = current
            index = position
            if position == end { return false }
            if value == Self.unknown {
                fill(&state, automaton.classOf[Int(bytes[position])], automaton)
            } else {
                state = ~value
                index = position + 1
                return true
            }
        }
        return false
    }

    /// Works out one entry of the table. May begin the table anew: then `state` gets its new number.
    private mutating func fill(_ state: inout Int32, _ byteClass: UInt8, _ automaton: Automaton) {
        let key = keys[Int(state) >> shift]
        let byte = automaton.byteOfClass[Int(byteClass)]
        var next: [Int32] = []
        for state in key.states {
            for index in automaton.followStart[Int(state)]..<automaton.followStart[Int(state) + 1] {
                let candidate = automaton.follow[Int(index)]
                if automaton.set(of: Int(candidate), contains: byte) { next.append(candidate) }
            }
        }
        for index in Int(automaton.initialStart[Int(byte)])..<Int(automaton.initialStart[Int(byte) + 1])
        where automaton.initialGuard[index] & key.guards == 0 {
            next.append(automaton.initial[index])
        }
        next.sort()
        var unique: [Int32] = []
        for state in next where unique.last != state { unique.append(state) }
        if keys.count >= mostStates {
            reset()
            state = intern(key)
        }
        let target = intern(Key(states: unique, guards: automaton.guardsOf[Int(byte)]))
        table[Int(state) + Int(byteClass)] = unique.contains { automaton.isAccepting(Int($0)) } ? ~target : target
    }

    private mutating func intern(_ key: Key) -> Int32 {
        if let state = known[key] { return state }
        let state = Int32(keys.count << shift)
        keys.append(key)
        known[key] = state
        table.append(contentsOf: repeatElement(Self.unknown, count: 1 << shift))
        return state
    }

    private mutating func reset() {
        table.removeAll(keepingCapacity: true)
        keys.removeAll(keepingCapacity: true)
        known.removeAll(keepingCapacity: true)
        for guards in quietGuards { _ = intern(Key(states: [], guards: guards)) }
        quietEnd = Int32(keys.count << shift)
    }
}
