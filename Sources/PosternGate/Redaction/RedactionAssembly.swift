/// Checks rules and secrets and turns them into needles of one automaton.
struct RedactionAssembly {
    private(set) var builder = AutomatonBuilder()
    private(set) var rules: [RedactionProgram.Rule] = []
    private(set) var needles: [RedactionProgram.Needle] = []
    private var dictionaryBytes = 0

    /// A rule's name is shown to the model: letters, digits and `._-`, 1 to 64 of them.
    static func check(name: String) throws(RedactionError) {
        let allowed = ByteSet.word.union(ByteSet(of: ".-"))
        guard 1...64 ~= name.utf8.count, name.utf8.allSatisfy(allowed.contains) else {
            throw RedactionError(name: name, reason: "a name has 1 to 64 letters, digits, '.', '_' or '-'")
        }
    }

    mutating func add(_ secret: KnownSecret) throws(RedactionError) {
        try Self.check(name: secret.name)
        guard KnownSecret.leastBytes...KnownSecret.mostBytes ~= secret.value.count else {
            throw RedactionError(
                name: secret.name,
                reason: "a secret of \(secret.value.count) bytes cannot be kept out of results: it must have \(KnownSecret.leastBytes) to "
                    + "\(KnownSecret.mostBytes) bytes")
        }
        rules.append(.init(name: "secret \(secret.name)", action: .mask))
        let plain = addNeedle(.init(rule: rules.count - 1))
        for literal in SecretNeedles.of(secret.value) {
            _ = builder.add(literal: literal, ignoresCase: false, notAfter: ByteSet(), needle: plain)
        }
    }

    mutating func add(_ pattern: RedactionRules.NamedPattern) throws(RedactionError) {
        try Self.check(name: pattern.name)
        let parsed: Pattern
        do {
            parsed = try PatternParser.parse(pattern.pattern, ignoresCase: pattern.ignoresCase)
        } catch {
            throw RedactionError(name: pattern.name, reason: "the pattern '\(pattern.pattern)', \(error)")
        }
        rules.append(.init(name: pattern.name, action: pattern.action))
        try add(parsed, check: nil)
    }

    mutating func add(_ dictionary: RedactionRules.Dictionary) throws(RedactionError) {
        try Self.check(name: dictionary.name)
        let edge = dictionary.wholeWords ? ByteSet.word : ByteSet()
        rules.append(.init(name: dictionary.name, action: dictionary.action))
        let needle = addNeedle(.init(rule: rules.count - 1, notBefore: edge))
        for word in dictionary.words {
            let bytes = Array(word.utf8)
            guard 1...RedactionRules.Dictionary.longestWord ~= bytes.count else {
                throw RedactionError(
                    name: dictionary.name, reason: "a word of \(bytes.count) bytes; 1 to \(RedactionRules.Dictionary.longestWord) are allowed")
            }
            dictionaryBytes += bytes.count
            guard dictionaryBytes <= RedactionRules.Dictionary.mostBytes else {
                throw RedactionError(
                    name: dictionary.name, reason: "all dictionaries together hold more than \(RedactionRules.Dictionary.mostBytes) bytes")
            }
            guard builder.add(literal: bytes, ignoresCase: dictionary.ignoresCase, notAfter: edge, needle: needle) else { throw tooManyGuards }
        }
    }

    mutating func add(_ detector: RedactionDetector, _ action: RedactionAction) throws(RedactionError) {
        rules.append(.init(name: detector.rawValue, action: action))
        for shape in detector.shapes {
            do {
                var pattern = try PatternParser.parse(shape.pattern)
                if let set = shape.notAfter { pattern.notAfter = set }
                if let set = shape.notBefore { pattern.notBefore = set }
                pattern.head = shape.head
                if let tail = shape.tail { pattern.tail = tail }
                try add(pattern, check: shape.check)
            } catch let error as PatternError {
                throw RedactionError(name: detector.rawValue, reason: error.description)
            } catch let error as RedactionError {
                throw error
            } catch {
                throw RedactionError(name: detector.rawValue, reason: "\(error)")
            }
        }
    }

    private mutating func add(_ pattern: Pattern, check: MatchCheck?) throws(RedactionError) {
        let needle = addNeedle(
            .init(rule: rules.count - 1, notBefore: pattern.notBefore, head: pattern.head, tail: pattern.tail, check: check))
        guard builder.add(pattern, needle: needle) else { throw tooManyGuards }
    }

    private mutating func addNeedle(_ needle: RedactionProgram.Needle) -> Int32 {
        needles.append(needle)
        return Int32(needles.count - 1)
    }

    private var tooManyGuards: RedactionError {
        RedactionError(
            name: rules.last?.name ?? "", reason: "more than \(AutomatonBuilder.mostGuards) different conditions on what stands before a match")
    }
}
