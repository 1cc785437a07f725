/// A pattern for a whole text, such as `^/data/[a-z]+\.csv$`: the forms of `PatternParser` between `^` and `$`. Time grows with the length of the
/// text; nothing backtracks.
///
/// Both anchors are demanded: a pattern that lacks one lets anything stand before or behind what it describes.
package struct WholePattern: Sendable, CustomStringConvertible {
    /// Texts of more bytes match no pattern.
    package static let longestText = 8_192
    /// Most states of one pattern.
    package static let mostStates = 2_048

    package let description: String
    private let automaton: Automaton
    /// What may follow a match without end, where the pattern closes with an open repeat of one class.
    private let tail: ByteSet

    package init(_ text: String) throws(PatternError) {
        guard text.utf8.first == UInt8(ascii: "^") else { throw PatternError(offset: 0, reason: "it must begin with '^'") }
        var body = text.unicodeScalars.dropFirst()
        guard body.last == "$", body.dropLast().reversed().prefix(while: { $0 == "\\" }).count.isMultiple(of: 2) else {
            throw PatternError(offset: max(0, text.utf8.count - 1), reason: "it must end in '$'")
        }
        body.removeLast()
        let pattern = try PatternParser.parse(String(String.UnicodeScalarView(body)))
        guard pattern.notAfter.isEmpty, pattern.notBefore.isEmpty else {
            throw PatternError(offset: 0, reason: #"'\b' says nothing beside '^' and '$': leave it out"#)
        }
        if case .alternatives = pattern.node { throw PatternError(offset: 0, reason: "put alternatives in parentheses: ^(a|b)$") }
        guard pattern.node.states <= Self.mostStates else {
            throw PatternError(offset: 0, reason: "it needs \(pattern.node.states) states; at most \(Self.mostStates) are allowed: lower the repeats")
        }
        var builder = AutomatonBuilder()
        guard builder.add(pattern, needle: 0) else { throw PatternError(offset: 0, reason: "it cannot be built") }
        automaton = builder.build()
        tail = if case .whileIn(let set)? = pattern.tail { set } else { ByteSet() }
        description = text
    }

    /// Whether the whole of `text`, as UTF-8, matches.
    package func matches(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty, bytes.count <= Self.longestText else { return false }
        // A match may end from here on: all that follows belongs to the tail.
        let end = bytes.count - bytes.reversed().prefix { tail.contains($0) }.count
        var states: [Int32] = []
        var stamps = [Int32](repeating: 0, count: automaton.stateCount)
        for (index, byte) in bytes.enumerated() {
            let stamp = Int32(index + 1)
            var next: [Int32] = []
            func add(_ state: Int32) {
                guard stamps[Int(state)] != stamp, automaton.set(of: Int(state), contains: byte) else { return }
                stamps[Int(state)] = stamp
                next.append(state)
            }
            if index == 0 {
                for entry in Int(automaton.initialStart[Int(byte)])..<Int(automaton.initialStart[Int(byte) + 1]) { add(automaton.initial[entry]) }
            }
            for state in states {
                for entry in Int(automaton.followStart[Int(state)])..<Int(automaton.followStart[Int(state) + 1]) { add(automaton.follow[entry]) }
            }
            states = next
            if index + 1 >= end, states.contains(where: { automaton.isAccepting(Int($0)) }) { return true }
            if states.isEmpty { return false }
        }
        return false
    }
}

/// The text says all.
extension WholePattern: Hashable {
    package static func == (left: WholePattern, right: WholePattern) -> Bool { left.description.utf8.elementsEqual(right.description.utf8) }
    package func hash(into hasher: inout Hasher) { hasher.combine(description) }
}
