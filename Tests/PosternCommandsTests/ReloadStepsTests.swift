import Foundation
import PosternGate
import Testing

@testable import PosternCommands

@Suite struct ReloadStepsTests {
    private struct Failure: Error, CustomStringConvertible { var description: String }

    /// What is done, in its order, and what it comes to; `failing`: the steps that throw.
    private func run(failing: Set<String> = []) async -> ([String], ReloadSteps.Outcome) {
        var done: [String] = []
        func step(_ name: String) throws {
            done.append(name)
            if failing.contains(name) { throw Failure(description: "no \(name)") }
        }
        let steps = ReloadSteps(
            keep: { try step($0.joined(separator: " ")) }, connector: { try step("connector") }, watcher: { try step("watcher") })
        let outcome = await steps.run(from: ["key", "old"], to: ["key", "new"])
        return (done, outcome)
    }

    /// No server starts with less kept from it than either reading wants.
    @Test func bothReadingsFilesAreKeptUntilOneIsInForce() async {
        let (done, outcome) = await run()
        #expect(done == ["key old new", "connector", "key new", "watcher"] && outcome == .inForce([]))
    }

    @Test(arguments: ["key old new", "connector"]) func aReadingThatIsRefusedTakesNothingAway(step: String) async {
        let (done, outcome) = await run(failing: [step])
        #expect(done.last == "key old" && !done.contains("key new") && !done.contains("watcher"))
        #expect(outcome == .refused("no \(step)"))
    }

    @Test func whatFailsAfterItIsInForceIsNoRefusal() async {
        for step in ["watcher", "key new"] {
            let (done, outcome) = await run(failing: [step])
            guard case .inForce(let left) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(done == ["key old new", "connector", "key new", "watcher"] && left.count == 1 && left[0].hasSuffix(": no \(step)"))
        }
    }
}

@Suite struct ConnectorBookTests {
    @Test func accountsThatNobodyUsesAreDroppedAndOthersKept() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("book-\(UUID().uuidString).json").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let first = try ByteBook(path: path)
        for (account, day) in [("docs caller a", "2026-10-27"), ("docs caller b", "2026-10-28"), ("docs caller c", "2026-11-27")] {
            try await first.add(ByteCharge(bytes: 10, session: account, day: day))
        }
        try await first.finish()
        let now = try Date("2026-11-27T12:00:00Z", strategy: .iso8601)
        let book = try ConnectorBook.open(path, now: now)
        #expect(["a", "b", "c"].map { book.bytes(session: "docs caller \($0)") } == [0, 10, 10])
    }
}
