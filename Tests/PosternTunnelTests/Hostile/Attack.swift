import PosternConnector
import Testing

/// Something that a hostile edge does to calls, what the victim must say to it, and the weakened ends against which it succeeds.
struct Attack: Sendable, CustomTestStringConvertible {
    /// Who has to notice, and how.
    struct Expected: Sendable {
        /// One of these stands in the runtime's error; none where the runtime need not notice.
        var runtime: [String] = []
        /// One of these codes is the connector's; none where the connector need not notice.
        var connector: [String] = []
        /// One of these stands in what the connector says, where there are any.
        var reason: [String] = []
    }

    let name: String
    /// A try is one of so many kinds, in turn.
    var kinds = 1
    let expected: @Sendable (_ kind: Int) -> Expected
    let weakness: @Sendable (_ kind: Int) -> Weakness
    /// One try. What the calls of a runtime, or of the edge, came to.
    let carryOut: @Sendable (Stage, _ kind: Int, _ number: Int) async throws -> [Outcome]

    init(
        _ name: String, kinds: Int = 1, expected: @escaping @Sendable (Int) -> Expected, weakness: @escaping @Sendable (Int) -> Weakness,
        _ carryOut: @escaping @Sendable (Stage, Int, Int) async throws -> [Outcome]
    ) {
        (self.name, self.kinds, self.expected, self.weakness, self.carryOut) = (name, kinds, expected, weakness, carryOut)
    }

    /// One kind, the same ends and the same words for all tries.
    init(
        _ name: String, runtime: [String] = [], connector: [String] = [], reason: [String] = [], weakness: Weakness,
        _ carryOut: @escaping @Sendable (Stage, Int) async throws -> [Outcome]
    ) {
        let expected = Expected(runtime: runtime, connector: connector, reason: reason)
        self.init(name, expected: { _ in expected }, weakness: { _ in weakness }) { stage, _, number in try await carryOut(stage, number) }
    }

    var testDescription: String { name }

    /// Tries once and says what was accepted.
    func attempt(_ stage: Stage, _ kind: Int, _ number: Int) async throws -> (outcomes: [Outcome], violations: [String]) {
        let outcomes = try await carryOut(stage, kind, number)
        return (outcomes, stage.ends.violations(outcomes, edge: stage.edge.seen))
    }
}

extension Attack {
    static let all = certificates + names + records + replays + cuts + callers + ghosts
}
