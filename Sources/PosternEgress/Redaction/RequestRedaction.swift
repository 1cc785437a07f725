import NIOCore
import PosternGate

/// The operator's redaction rules for bodies that go out, made ready. Shared by all requests of a session.
struct RequestRedaction: Sendable {
    fileprivate let program: RedactionProgram
    /// Refuses what the other would replace: for bodies that cannot change their length.
    fileprivate let strict: RedactionProgram

    init(_ rules: RedactionRules, key: [UInt8]) throws(RedactionError) {
        program = try RedactionProgram(rules, hashKey: key)
        strict = try RedactionProgram(rules.blocking, hashKey: key)
    }
}

/// A body that may not leave.
struct RedactionBlocked: Error, Sendable, Hashable {
    /// The name of the rule; nothing of the text.
    var rule: String
}

/// Redacts one body on its way out, across the borders of its pieces. A value without I/O.
struct BodyRedaction: Sendable {
    private var redactor: Redactor?
    private let program: RedactionProgram?

    /// - Parameters:
    ///   - rules: `nil` lets everything through.
    ///   - keepsLength: the length has been promised, or must not change for another reason.
    init(_ rules: RequestRedaction?, keepsLength: Bool) {
        program = rules.map { keepsLength ? $0.strict : $0.program }
        redactor = program.map { Redactor($0) }
    }

    /// The bytes that may go on. Throws before anything of what a rule blocks would.
    mutating func feed(_ piece: ByteBuffer) throws(RedactionBlocked) -> ByteBuffer {
        guard redactor != nil else { return piece }
        var output: [UInt8] = []
        redactor?.feed(piece.readableBytesView, into: &output)
        return try passed(output)
    }

    mutating func finish() throws(RedactionBlocked) -> ByteBuffer {
        guard redactor != nil else { return ByteBuffer() }
        var output: [UInt8] = []
        redactor?.finish(into: &output)
        return try passed(output)
    }

    private func passed(_ output: [UInt8]) throws(RedactionBlocked) -> ByteBuffer {
        if let rule = redactor?.blockedBy { throw RedactionBlocked(rule: rule) }
        return ByteBuffer(bytes: output)
    }

    /// How often each rule was met so far, by what was done.
    var counts: [(action: String, counts: [String: Int])] {
        guard let program, let redactor else { return [] }
        return program.byAction(redactor.counts).map { ($0.action.rawValue, $0.counts) }
    }
}

extension RedactionRules {
    /// The same rules, refusing what they would replace.
    fileprivate var blocking: RedactionRules {
        func stricter(_ action: RedactionAction) -> RedactionAction { action == .allow ? .allow : .block }
        var rules = self
        rules.detectors = rules.detectors.mapValues(stricter)
        for index in rules.patterns.indices { rules.patterns[index].action = stricter(rules.patterns[index].action) }
        for index in rules.dictionaries.indices { rules.dictionaries[index].action = stricter(rules.dictionaries[index].action) }
        return rules
    }
}
