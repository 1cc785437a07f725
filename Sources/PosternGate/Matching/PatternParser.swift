/// Reads the text of a pattern: a regular expression without anything that would need memory or backtracking.
///
/// Known: literals (UTF-8), `.` (any byte but a line feed), `[a-z]`, `[^a-z]`, `\d \w \s \D \W \S`, `\t \n \r`, `\xHH`, a backslash before any
/// punctuation, `( )` and `(?: )`, `|`, `?`, `*`, `+`, `{n}`, `{n,}`, `{n,m}`, `(?i)` at the start, `\b` at the start (no word character before) and
/// at the end (none after). `*`, `+` and `{n,}` reach `Pattern.openRepeat` times beyond their least; as the last item over a single class they
/// have no end. Refused: `^`, `$`, back-references, look-around, lazy and possessive repeats.
package struct PatternParser {
    private let text: [UInt8]
    private var index = 0
    private var depth = 0

    private init(_ text: String) { self.text = Array(text.utf8) }

    package static func parse(_ text: String, ignoresCase: Bool = false) throws(PatternError) -> Pattern {
        var parser = PatternParser(text)
        return try parser.pattern(ignoresCase)
    }

    private mutating func pattern(_ ignoresCase: Bool) throws(PatternError) -> Pattern {
        let folds = accept("(?i)") || ignoresCase
        let startsAtEdge = accept(#"\b"#)
        var node = try alternatives()
        if index < text.count { throw failure("')' without its '('") }
        var pattern = Pattern(node: node)
        if startsAtEdge { pattern.notAfter = .word }
        if endsAtEdge {
            pattern.notBefore = .word
        } else if case .sequence(var items) = node, case .repeated(.bytes(let set), let least, _)? = items.last, openEnd {
            // An open repeat of one class at the very end has no bound: what belongs to the class is masked to its last byte.
            items.removeLast()
            items += Array(repeating: .bytes(set), count: least)
            node = .sequence(items)
            pattern.tail = .whileIn(folds ? set.ignoringCase : set)
        }
        pattern.node = folds ? node.ignoringCase : node
        if pattern.node.matchesNothing { throw PatternError(offset: 0, reason: "it matches the empty text; let it match at least one character") }
        if pattern.node.longest > Pattern.longestMatch {
            throw PatternError(
                offset: 0, reason: "it matches up to \(pattern.node.longest) bytes; at most \(Pattern.longestMatch) are allowed: lower the repeats")
        }
        if pattern.node.states > Pattern.mostStates {
            throw PatternError(
                offset: 0, reason: "it needs \(pattern.node.states) states; at most \(Pattern.mostStates) are allowed: lower the repeats")
        }
        return pattern
    }

    /// Set by the last thing read at the outermost level.
    private var endsAtEdge = false
    private var openEnd = false

    private mutating func alternatives() throws(PatternError) -> PatternNode {
        var nodes = [try sequence()]
        while accept("|") {
            if endsAtEdge { throw failure(#"'\b' may stand only at the start and at the end of the whole pattern"#) }
            openEnd = false
            nodes.append(try sequence())
            openEnd = false
        }
        return nodes.count == 1 ? nodes[0] : .alternatives(nodes)
    }

    private mutating func sequence() throws(PatternError) -> PatternNode {
        var nodes: [PatternNode] = []
        while let byte = peek, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
            if endsAtEdge { throw failure(#"'\b' may stand only at the start and at the end of the whole pattern"#) }
            if depth == 0, accept(#"\b"#) {
                endsAtEdge = true
                continue
            }
            openEnd = false
            nodes.append(try repeats(of: try item()))
        }
        return .sequence(nodes)
    }

    private mutating func item() throws(PatternError) -> PatternNode {
        guard let byte = peek else { throw failure("something must follow") }
        switch byte {
        case UInt8(ascii: "("):
            index += 1
            if accept("?") {
                guard accept(":") else { throw failure("of the forms '(?…' only '(?:' is known, and '(?i)' at the start") }
            }
            guard depth < 32 else { throw failure("groups are nested more than 32 deep") }
            depth += 1
            let node = try alternatives()
            depth -= 1
            openEnd = false
            guard accept(")") else { throw failure("a '(' is not closed") }
            return node
        case UInt8(ascii: "["): return .bytes(try set())
        case UInt8(ascii: "."):
            index += 1
            return .bytes(ByteSet([0x0A]).inverted)
        case UInt8(ascii: "\\"): return .bytes(try escape())
        case UInt8(ascii: "^"), UInt8(ascii: "$"):
            throw failure(#"'^' and '$' are not known, since a stream has no lines: use '\b', or '\^' and '\$' for the characters"#)
        case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"): throw failure("a repeat without anything to repeat")
        default:
            // One character, whole, so that a repeat after it means the character.
            index += 1
            var bytes = [byte]
            while byte >= 0x80, let next = peek, next & 0xC0 == 0x80 {
                bytes.append(next)
                index += 1
            }
            return bytes.count == 1 ? .bytes(ByteSet(bytes)) : .literal(bytes)
        }
    }

    private mutating func repeats(of node: PatternNode) throws(PatternError) -> PatternNode {
        var result = node
        guard let byte = peek else { return result }
        var (least, most, isOpen) = (0, 1, false)
        switch byte {
        case UInt8(ascii: "?"): index += 1
        case UInt8(ascii: "*"):
            index += 1
            (most, isOpen) = (Pattern.openRepeat, true)
        case UInt8(ascii: "+"):
            index += 1
            (least, most, isOpen) = (1, 1 + Pattern.openRepeat, true)
        case UInt8(ascii: "{"):
            index += 1
            least = try number()
            most = least
            if accept(",") {
                if peek == UInt8(ascii: "}") { (most, isOpen) = (least + Pattern.openRepeat, true) } else { most = try number() }
            }
            guard accept("}") else { throw failure("'}' must close the repeat") }
            guard least <= most, most > 0 else { throw failure("a repeat of \(least) to \(most) times") }
        default: return result
        }
        if let next = peek, next == UInt8(ascii: "?") || next == UInt8(ascii: "+") || next == UInt8(ascii: "*") {
            throw failure("lazy, possessive and doubled repeats are not known: every match is masked in full anyway")
        }
        result = .repeated(node, least: least, most: most)
        openEnd = isOpen && depth == 0
        return result
    }

    private mutating func number() throws(PatternError) -> Int {
        var value = 0
        let start = index
        while let byte = peek, ByteSet.digits.contains(byte) {
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
            index += 1
            guard value <= Pattern.longestMatch else { throw failure("a repeat of more than \(Pattern.longestMatch)") }
        }
        guard index > start else { throw failure("a number must stand here") }
        return value
    }

    private mutating func set() throws(PatternError) -> ByteSet {
        index += 1
        let isInverted = accept("^")
        var result = ByteSet()
        var isFirst = true
        while true {
            guard let byte = peek else { throw failure("a '[' is not closed") }
            if byte == UInt8(ascii: "]"), !isFirst { break }
            isFirst = false
            var low = ByteSet()
            if byte == UInt8(ascii: "\\") {
                low = try escape()
            } else {
                guard byte < 0x80 else { throw failure("only ASCII may stand in a class; write other characters as alternatives: (ä|ö)") }
                index += 1
                low.insert(byte)
            }
            if peek == UInt8(ascii: "-"), index + 1 < text.count, text[index + 1] != UInt8(ascii: "]") {
                index += 1
                guard let next = peek, next < 0x80 else { throw failure("the end of a range is missing") }
                var high = ByteSet()
                if next == UInt8(ascii: "\\") {
                    high = try escape()
                } else {
                    high.insert(next)
                    index += 1
                }
                guard let from = low.single, let to = high.single, from <= to else { throw failure("this is no range of characters") }
                result = result.union(ByteSet(from...to))
            } else {
                result = result.union(low)
            }
        }
        index += 1
        result = isInverted ? result.inverted : result
        guard !result.isEmpty else { throw failure("the class is empty") }
        return result
    }

    private mutating func escape() throws(PatternError) -> ByteSet {
        index += 1
        guard let byte = peek else { throw failure("a character must follow the backslash") }
        index += 1
        switch byte {
        case UInt8(ascii: "d"): return .digits
        case UInt8(ascii: "D"): return ByteSet.digits.inverted
        case UInt8(ascii: "w"): return .word
        case UInt8(ascii: "W"): return ByteSet.word.inverted
        case UInt8(ascii: "s"): return .space
        case UInt8(ascii: "S"): return ByteSet.space.inverted
        case UInt8(ascii: "t"): return ByteSet([0x09])
        case UInt8(ascii: "n"): return ByteSet([0x0A])
        case UInt8(ascii: "r"): return ByteSet([0x0D])
        case UInt8(ascii: "x"):
            let isHex = index + 2 <= text.count && text[index..<index + 2].allSatisfy { Character(UnicodeScalar($0)).isHexDigit }
            guard isHex, let value = UInt8(String(decoding: text[index..<index + 2], as: UTF8.self), radix: 16) else {
                throw failure(#"two hex digits must follow '\x'"#)
            }
            index += 2
            return ByteSet([value])
        case UInt8(ascii: "b"): throw failure(#"'\b' may stand only at the start and at the end of the whole pattern"#)
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E, 0x20: return ByteSet([byte])
        default: throw failure(#"'\\#(Character(UnicodeScalar(byte)))' is not known"#)
        }
    }

    private var peek: UInt8? { index < text.count ? text[index] : nil }

    private mutating func accept(_ literal: String) -> Bool {
        guard text[index...].starts(with: literal.utf8) else { return false }
        index += literal.utf8.count
        return true
    }

    private func failure(_ reason: String) -> PatternError { PatternError(offset: index, reason: reason) }
}

extension ByteSet {
    /// The only member, if there is just one.
    fileprivate var single: UInt8? { count == 1 ? (0...255).first { contains($0) } : nil }
}
