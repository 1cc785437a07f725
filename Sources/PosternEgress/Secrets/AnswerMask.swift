import NIOCore
import PosternHTTP
import PosternPolicy

/// Keeps the values of secrets out of what comes back to a sandbox: each becomes its placeholder, which is as long, so lengths stay true.
struct AnswerMask: Sendable {
    /// Shared by all answers of a session; worth keeping, since it is large.
    struct Rules: Sendable {
        fileprivate let automaton: NeedleScanner.Automaton
        fileprivate let names: [String]

        init(_ secrets: [BoundSecret]) {
            automaton = NeedleScanner.Automaton(PlaceholderNeedles.secrets(of: secrets))
            names = secrets.map(\.binding.name)
        }

        var isEmpty: Bool { automaton.isEmpty }
    }

    private let rules: Rules
    private var scanner: NeedleScanner
    private var inHead: [Int: Int] = [:]

    init(_ rules: Rules) {
        self.rules = rules
        scanner = NeedleScanner(rules.automaton)
    }

    /// A response head without secrets in its reason and fields.
    mutating func mask(_ head: inout ResponseHead) {
        guard !rules.isEmpty else { return }
        head.reason = whole(head.reason)
        for index in head.fields.all.indices {
            let name = Array(head.fields.all[index].name.utf8)
            let masked = whole(name)
            let value = whole(head.fields.all[index].value)
            head.fields.all[index] = HTTPField(masked == name ? head.fields.all[index].name : String(decoding: masked, as: UTF8.self), value)
        }
    }

    private mutating func whole(_ bytes: [UInt8]) -> [UInt8] {
        var scanner = NeedleScanner(rules.automaton)
        let output = scanner.feed(bytes) + scanner.finish()
        inHead.merge(scanner.counts) { $0 + $1 }
        return output
    }

    /// The next piece of the body, masked; a little may be held back.
    mutating func feed(_ piece: ByteBuffer) -> ByteBuffer {
        rules.isEmpty ? piece : ByteBuffer(bytes: scanner.feed(piece.readableBytesView))
    }

    /// What was held back, at the end of the body.
    mutating func finish() -> ByteBuffer { ByteBuffer(bytes: scanner.finish()) }

    /// How often which secret was masked, by name.
    var counts: [String: Int] {
        var all: [String: Int] = [:]
        for (owner, count) in scanner.counts.merging(inHead, uniquingKeysWith: +) { all[rules.names[owner], default: 0] += count }
        return all
    }
}
