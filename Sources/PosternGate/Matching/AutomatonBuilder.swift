/// Puts patterns and literals together into one `Automaton`. Literals share their beginnings (a trie), so that a dictionary of many words
/// stays as small as its letters.
struct AutomatonBuilder {
    /// Different sets of bytes that may not stand before a match.
    static let mostGuards = 8

    private var setOf: [Int32] = []
    private var setIndex: [ByteSet: Int32] = [:]
    private var sets: [ByteSet] = []
    private var follow: [[Int32]] = []
    private var accepts: [[Int32]] = []
    private var initial: [(state: Int32, guardBit: UInt8)] = []
    private var guards: [ByteSet] = []
    private var trie: [TrieKey: Int32] = [:]
    private var longest = 1

    private struct TrieKey: Hashable {
        /// A state, or a negative number for a root.
        var parent: Int32
        var byte: UInt8
    }

    /// What comes after a part of a pattern.
    private struct Continuation {
        var states: [Int32]
        /// The match may end here.
        var ends: Bool
    }

    init() {}

    /// `false` if there are too many different guards.
    mutating func add(_ pattern: Pattern, needle: Int32) -> Bool {
        guard let guardBit = bit(for: pattern.notAfter) else { return false }
        longest = max(longest, pattern.node.longest)
        let entry = build(pattern.node, Continuation(states: [], ends: true), needle)
        initial += entry.states.map { ($0, guardBit) }
        return true
    }

    /// Adds one literal, not empty.
    mutating func add(literal: [UInt8], ignoresCase: Bool, notAfter: ByteSet, needle: Int32) -> Bool {
        guard let guardBit = bit(for: notAfter) else { return false }
        longest = max(longest, literal.count)
        var parent = -1 - Int32(guardBit) * 2 - (ignoresCase ? 1 : 0)
        for byte in literal {
            let set = ignoresCase ? ByteSet([byte]).ignoringCase : ByteSet([byte])
            let key = TrieKey(parent: parent, byte: ignoresCase && ByteSet.upper.contains(byte) ? byte + 32 : byte)
            if let known = trie[key] {
                parent = known
                continue
            }
            let state = makeState(set)
            trie[key] = state
            if parent < 0 { initial.append((state, guardBit)) } else { follow[Int(parent)].append(state) }
            parent = state
        }
        if parent >= 0, !accepts[Int(parent)].contains(needle) { accepts[Int(parent)].append(needle) }
        return true
    }

    private mutating func build(_ node: PatternNode, _ next: Continuation, _ needle: Int32) -> Continuation {
        switch node {
        case .bytes(let set):
            let state = makeState(set)
            follow[Int(state)] = next.states
            if next.ends { accepts[Int(state)] = [needle] }
            return Continuation(states: [state], ends: false)
        case .sequence(let nodes): return nodes.reversed().reduce(next) { build($1, $0, needle) }
        case .alternatives(let nodes):
            return nodes.reduce(into: Continuation(states: [], ends: false)) { result, node in
                let entry = build(node, next, needle)
                result = Self.union(result, entry)
            }
        case .repeated(let node, let least, let most):
            var entry = next
            for _ in 0..<(most - least) { entry = Self.union(build(node, entry, needle), next) }
            for _ in 0..<least { entry = build(node, entry, needle) }
            return entry
        }
    }

    private static func union(_ left: Continuation, _ right: Continuation) -> Continuation {
        let known = Set(left.states)
        return Continuation(states: left.states + right.states.filter { !known.contains($0) }, ends: left.ends || right.ends)
    }

    private mutating func makeState(_ set: ByteSet) -> Int32 {
        let index: Int32
        if let known = setIndex[set] {
            index = known
        } else {
            index = Int32(sets.count)
            setIndex[set] = index
            sets.append(set)
        }
        setOf.append(index)
        follow.append([])
        accepts.append([])
        return Int32(setOf.count - 1)
    }

    /// The bit of a guard; 0 for none.
    private mutating func bit(for set: ByteSet) -> UInt8? {
        if set.isEmpty { return 0 }
        if let known = guards.firstIndex(of: set) { return 1 << UInt8(known) }
        guard guards.count < Self.mostGuards else { return nil }
        guards.append(set)
        return 1 << UInt8(guards.count - 1)
    }

    func build() -> Automaton {
        let (followStart, follow) = Self.flat(self.follow)
        let (acceptStart, accepts) = Self.flat(self.accepts)
        var starting = [[(state: Int32, guardBit: UInt8)]](repeating: [], count: 256)
        for entry in initial {
            let set = sets[Int(setOf[Int(entry.state)])]
            for byte in UInt8.min...UInt8.max where set.contains(byte) { starting[Int(byte)].append(entry) }
        }
        let (initialStart, flatInitial) = Self.flat(starting)
        let guardsOf = (UInt8.min...UInt8.max).map { byte in
            guards.enumerated().reduce(UInt8(0)) { $1.element.contains(byte) ? $0 | 1 << UInt8($1.offset) : $0 }
        }
        // Split the classes by one set after the other.
        var classOf = [Int](repeating: 0, count: 256)
        for set in sets + guards {
            var known: [Int: Int] = [:]
            classOf = (0..<256).map { byte in
                let key = classOf[byte] * 2 + (set.contains(UInt8(byte)) ? 1 : 0)
                return known[key]
                    ?? {
                        known[key] = known.count; return known.count - 1
                    }()
            }
        }
        var byteOfClass = [UInt8](repeating: 0, count: (classOf.max() ?? 0) + 1)
        for byte in 0..<256 { byteOfClass[classOf[byte]] = UInt8(byte) }
        return Automaton(
            setOf: setOf, sets: sets.flatMap(\.words), followStart: followStart, follow: follow, acceptStart: acceptStart, accepts: accepts,
            initialStart: initialStart, initial: flatInitial.map(\.state), initialGuard: flatInitial.map(\.guardBit), guardsOf: guardsOf,
            classOf: classOf.map { UInt8($0) }, byteOfClass: byteOfClass, longest: longest)
    }

    private static func flat<Element>(_ lists: [[Element]]) -> (starts: [Int32], all: [Element]) {
        var starts: [Int32] = [0]
        starts.reserveCapacity(lists.count + 1)
        var all: [Element] = []
        for list in lists {
            all += list
            starts.append(Int32(all.count))
        }
        return (starts, all)
    }
}
