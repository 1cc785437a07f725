/// A pattern over bytes whose matches have a bounded length: what a rule looks for. Made by `PatternParser` from text, or built.
package indirect enum PatternNode: Sendable, Equatable {
    /// One byte out of a set.
    case bytes(ByteSet)
    case sequence([PatternNode])
    case alternatives([PatternNode])
    case repeated(PatternNode, least: Int, most: Int)

    /// The bytes of `literal`, one after the other.
    static func literal(_ literal: some Sequence<UInt8>) -> PatternNode { .sequence(literal.map { .bytes(ByteSet(CollectionOfOne($0))) }) }

    /// Length of the longest match in bytes.
    var longest: Int {
        switch self {
        case .bytes: 1
        case .sequence(let nodes): nodes.reduce(0) { Self.sum($0, $1.longest) }
        case .alternatives(let nodes): nodes.map(\.longest).max() ?? 0
        case .repeated(let node, _, let most): Self.product(node.longest, most)
        }
    }

    /// How many states the automaton needs for it.
    var states: Int {
        switch self {
        case .bytes: 1
        case .sequence(let nodes), .alternatives(let nodes): nodes.reduce(0) { Self.sum($0, $1.states) }
        case .repeated(let node, _, let most): Self.product(node.states, most)
        }
    }

    var matchesNothing: Bool {
        switch self {
        case .bytes: false
        case .sequence(let nodes): nodes.allSatisfy(\.matchesNothing)
        case .alternatives(let nodes): nodes.contains(where: \.matchesNothing)
        case .repeated(let node, let least, _): least == 0 || node.matchesNothing
        }
    }

    var ignoringCase: PatternNode {
        switch self {
        case .bytes(let set): .bytes(set.ignoringCase)
        case .sequence(let nodes): .sequence(nodes.map(\.ignoringCase))
        case .alternatives(let nodes): .alternatives(nodes.map(\.ignoringCase))
        case .repeated(let node, let least, let most): .repeated(node.ignoringCase, least: least, most: most)
        }
    }

    // Sums and products stop far above every limit instead of overflowing.
    private static let ceiling = 1 << 30
    private static func sum(_ left: Int, _ right: Int) -> Int { min(ceiling, left + right) }
    private static func product(_ left: Int, _ right: Int) -> Int { min(ceiling, left * right) }
}

/// What may follow the end of a match and is masked with it, however long it is. Kept out of the automaton, so that a token of any length
/// needs bounded memory.
package enum PatternTail: Sendable, Equatable {
    /// Every further byte that is in the set.
    case whileIn(ByteSet)
    /// Everything up to and with the end mark, at most `limit` bytes. Without the mark, `limit` bytes.
    case through([UInt8], limit: Int)
}

/// Bytes before the start of a match that belong to it: at least one, at most `limit`, all in the set.
package struct PatternHead: Sendable, Equatable {
    package var set: ByteSet
    package var limit: Int
    /// Without so many of them there is no match.
    package var least: Int
}

/// A pattern with what must, may or must not stand around it.
package struct Pattern: Sendable, Equatable {
    /// Longest match in bytes, head and tail not counted.
    package static let longestMatch = 1_024
    /// Most states of one pattern.
    package static let mostStates = 8_192
    /// What `*`, `+` and `{n,}` stand for inside a pattern: so many repeats beyond the least.
    package static let openRepeat = 64

    package var node: PatternNode
    /// The byte before a match is none of these. Empty: any.
    package var notAfter = ByteSet()
    /// The byte after a match is none of these. Empty: any.
    package var notBefore = ByteSet()
    package var head: PatternHead?
    package var tail: PatternTail?

    package init(node: PatternNode) { self.node = node }
}

/// Why the text of a pattern is no pattern.
package struct PatternError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Offset into the text, in bytes, from 0.
    package var offset: Int
    package var reason: String

    package var description: String { "at character \(offset + 1): \(reason)" }
}
