import Crypto
import Synchronization

/// Rules and secrets made ready for streams: immutable, shared, safe to use from anywhere.
package final class RedactionProgram: Sendable {
    /// What a rule's matches are called and what becomes of them.
    struct Rule: Sendable, Equatable {
        var name: String
        var action: RedactionAction
    }

    /// One thing that is looked for.
    struct Needle: Sendable {
        /// Index into `rules`.
        var rule: Int
        var notBefore = ByteSet()
        var head: PatternHead?
        var tail: PatternTail?
        var check: MatchCheck?
    }

    /// Bytes of a match that go into its hash; of a longer one, its first bytes.
    static let hashedBytes = 4_096

    let automaton: Automaton
    /// Secrets first, then patterns, dictionaries, detectors: where matches overlap, the first rule of the strongest action names the mark.
    let rules: [Rule]
    let needles: [Needle]
    /// Bytes that a head may take, and how many at most.
    let headSet: ByteSet
    let headLimit: Int
    private let hashKey: SymmetricKey
    private let spare: Mutex<[LazyDFA]>
    private static let mostSpare = 4

    /// `hashKey` keys the `hash` action; keep it secret and the same for as long as equal texts are to look equal.
    package convenience init(_ rules: RedactionRules, secrets: [KnownSecret] = [], hashKey: [UInt8]) throws(RedactionError) {
        var assembly = RedactionAssembly()
        for secret in secrets { try assembly.add(secret) }
        for pattern in rules.patterns { try assembly.add(pattern) }
        for dictionary in rules.dictionaries { try assembly.add(dictionary) }
        for detector in RedactionDetector.allCases {
            if let action = rules.detectors[detector] { try assembly.add(detector, action) }
        }
        self.init(automaton: assembly.builder.build(), rules: assembly.rules, needles: assembly.needles, hashKey: hashKey)
    }

    init(automaton: Automaton, rules: [Rule], needles: [Needle], hashKey: [UInt8]) {
        self.automaton = automaton
        self.rules = rules
        self.needles = needles
        let heads = needles.compactMap(\.head)
        headSet = heads.reduce(ByteSet()) { $0.union($1.set) }
        headLimit = heads.map(\.limit).max() ?? 0
        self.hashKey = SymmetricKey(data: hashKey)
        spare = Mutex([LazyDFA(automaton)])
    }

    /// A matcher that has seen text before, if there is one.
    func takeMatcher() -> LazyDFA { spare.withLock { $0.popLast() } ?? LazyDFA(automaton) }

    func giveBack(_ matcher: LazyDFA) {
        spare.withLock { spare in
            if spare.count < Self.mostSpare { spare.append(matcher) }
        }
    }

    /// 16 hex digits of HMAC-SHA256.
    func hash(_ bytes: [UInt8]) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: bytes, using: hashKey)
        return String(decoding: SecretForms.hex(Array(code.prefix(8)), isUpper: false), as: UTF8.self)
    }
}

extension RedactionProgram {
    /// The counts by what was done, mildest first, for the audit.
    package func byAction(_ counts: RedactionCounts) -> [(action: RedactionAction, counts: [String: Int])] {
        RedactionAction.allCases.compactMap { action in
            let names = Set(rules.filter { $0.action == action }.map(\.name))
            let chosen = counts.byRule.filter { names.contains($0.key) }
            return chosen.isEmpty ? nil : (action, chosen)
        }
    }
}
