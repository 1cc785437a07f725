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
                let said = try await Self.refusals(stage, after: before) { error in
                    expected.connector.contains(error.code)
                        && (expected.reason.isEmpty || expected.reason.contains { error.description.contains($0) })
                }
                #expect(said.isEmpty, "try \(number), kind \(kind)")
            }
            // What comes late comes too.
            #expect(stage.ends.violations([], edge: []).isEmpty)
            print("attacks of a hostile edge: \(attack.name): \(Self.tries) tries, \(accepted) accepted")
        }
    }

    /// What the connector has refused since, once it is what it should be, then nothing; or after ten seconds all of it.
    private static func refusals(_ stage: Stage, after count: Int, _ isExpected: (CallError) -> Bool) async throws -> [String] {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            let said = stage.world.log.errors.dropFirst(count)
            if said.contains(where: isExpected) { return [] }
            guard ContinuousClock.now < deadline else { return said.isEmpty ? ["nothing"] : said.map(\.description) }
            try await Task.sleep(for: .milliseconds(2))
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
