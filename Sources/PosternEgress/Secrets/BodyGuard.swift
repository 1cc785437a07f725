import NIOCore
import PosternPolicy

/// Watches a body on its way out for placeholders, which have no place in it. A value without I/O.
struct BodyGuard: Sendable {
    private var scanner: NeedleScanner
    private let names: [String]

    init(_ rules: Rules) {
        scanner = NeedleScanner(rules.automaton)
        names = rules.names
    }

    /// Shared by all requests of a session.
    struct Rules: Sendable {
        fileprivate let automaton: NeedleScanner.Automaton
        fileprivate let names: [String]

        init(_ secrets: [BoundSecret]) {
            automaton = NeedleScanner.Automaton(PlaceholderNeedles.placeholders(of: secrets))
            names = secrets.map(\.binding.name)
        }
    }

    /// The bytes that may go on. Throws before the last byte of a placeholder would.
    mutating func feed(_ piece: ByteBuffer) throws(RequestSecrets.Misplaced) -> ByteBuffer {
        let output = scanner.feed(piece.readableBytesView)
        if let owner = scanner.counts.keys.first { throw RequestSecrets.Misplaced(secret: names[owner], place: "the body") }
        return ByteBuffer(bytes: output)
    }

    /// Looks at bytes that are passed on whole, since a peer may wait for each of them. Throws for those that complete a placeholder.
    mutating func check(_ piece: ByteBuffer) throws(RequestSecrets.Misplaced) { _ = try feed(piece) }

    mutating func finish() -> ByteBuffer { ByteBuffer(bytes: scanner.finish()) }
}
