import Foundation
import PosternSandbox
import Testing

@testable import PosternCommands

extension ProcessTests {
    /// The worker's check of its own boundary: it passes where there is one and names the rules where there is none.
    @Suite struct BoundaryCheckTests {
        @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/bwrap"), "bubblewrap is not installed"))
        func theSandboxHolds() async throws {
            let spawner = try await Spawner.launch()
            try await BoundaryCheck(driver: try BubblewrapDriver(spawner: spawner)).run()
            await spawner.close()
        }

        @Test func withoutASandboxTheRulesThatDoNotHoldAreNamed() async throws {
            let spawner = try await Spawner.launch()
            do {
                try await BoundaryCheck(driver: NoneDriver(spawner: spawner)).run()
                Issue.record("a machine without a boundary passed the check")
            } catch let error as SandboxError {
                #expect(error.code == .unavailable)
                for rule in ["processes of the host can be seen", "a file of the host can be seen"] {
                    #expect(error.message.contains(rule), "\(error.message)")
                }
            }
            await spawner.close()
        }
    }
}
