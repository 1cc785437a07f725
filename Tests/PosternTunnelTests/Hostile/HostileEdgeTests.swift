import Foundation
import PosternConnector
import Testing

/// Attacks of an edge on the calls that it relays: a real runtime, a real connector, real TLS, and between them an edge that does the attack.
@Suite("A hostile edge", .timeLimit(.minutes(20)))
struct HostileEdgeTests {
    /// Tries of each attack; 1,000 with POSTERN_FULL=1.
    private static let tries = ProcessInfo.processInfo.environment["POSTERN_FULL"] != nil ? 1000 : 100

    @Test("none of its attacks is accepted, and the victim says which it was", arguments: Attack.all)
    func attack(_ attack: Attack) async throws {
        try await Stage.run(nil) { stage in
            var accepted = 0
            for number in 0..<Self.tries {
                let kind = number % attack.kinds
                let before = stage.world.log.refusals.count
                let (outcomes, violations) = try await attack.attempt(stage, kind, number)
                let expected = attack.expected(kind)
                #expect(stage.edge.strikes > 0, "try \(number) was none: \(outcomes)")
                #expect(violations.isEmpty, "try \(number)")
                if !violations.isEmpty { accepted += 1 }
                if !expected.runtime.isEmpty {
                    for outcome in outcomes {
                        let error = outcome.error ?? "an answer"
                        #expect(expected.runtime.contains { error.contains($0) }, "try \(number), kind \(kind): \(error)")
                    }
                }
                guard !expected.connector.isEmpty else { continue }
                await stage.world.log.wait { $0.refusals.count > before }
                let error = try #require(stage.world.log.lastRefusal)
                #expect(expected.connector.contains(error.code), "try \(number), kind \(kind): \(error)")
                #expect(expected.reason.isEmpty || expected.reason.contains { "\(error)".contains($0) }, "try \(number), kind \(kind): \(error)")
            }
            // What comes late comes too.
            #expect(stage.ends.violations([], edge: []).isEmpty)
            print("attacks of a hostile edge: \(attack.name): \(Self.tries) tries, \(accepted) accepted")
        }
    }

    @Test("each attack succeeds where the check that stops it is left out", arguments: Attack.all)
    func control(_ attack: Attack) async throws {
        for kind in 0..<attack.kinds {
            try await Stage.run(attack.weakness(kind)) { stage in
                let (outcomes, violations) = try await attack.attempt(stage, kind, 0)
                #expect(stage.edge.strikes > 0)
                #expect(!violations.isEmpty, "\(outcomes)")
            }
        }
    }
}
