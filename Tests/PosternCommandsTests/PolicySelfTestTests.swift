import Logging
import PosternPolicy
import PosternSandbox
import PosternWorker
import Synchronization
import Testing

@testable import PosternCommands

/// The self-test under the policies in force, with a driver that starts nothing; `Tests/Perimeter/test_selftest.py` has the real one.
@Suite struct PolicySelfTestTests {
    private final class StoppedDriver: SandboxDriver {
        let name = "stopped"
        private let starts = Mutex<[String]>([])
        var started: [String] { starts.withLock { $0 } }

        func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
            starts.withLock { $0.append("\(spec.limits.processes)") }
            throw SandboxError(.startFailed, "no sandbox with \(spec.limits.processes) processes")
        }
    }

    private static func policies(_ texts: String...) throws -> PolicySet {
        try PolicySet(
            texts.enumerated().map { PolicySet.File(name: "\($0.offset).yaml", text: "version: 1\n\($0.element)") }, reader: PolicyReader())
    }

    @Test func eachShapeIsTestedOnceAndWhatFailsIsHeldAgainstItsPolicies() async throws {
        let set = try Self.policies(
            "name: one\nmatch: {agents: a}\nlimits: {processes: 100}\n", "name: two\nmatch: {agents: b}\nlimits: {processes: 200}\n",
            "name: three\nmatch: {agents: c}\nlimits: {processes: 100}\ntools: {deny: [bash]}\n")
        let driver = StoppedDriver()
        let outcomes = await PolicySelfTest(driver: driver, denials: MandatoryDenials()).run(set.inForce)
        // Tools are not the sandbox's. A session that no policy matches gets `strict`, which is tested too.
        #expect(outcomes.map(\.names) == [["one", "three"], ["two"], ["strict"]])
        #expect(driver.started.count == 3)
        #expect(outcomes[1].failure == "no sandbox with 200 processes")
        var records = BoundaryRecords(requiresAllLayers: false, logger: Logger(label: "test"))
        for outcome in outcomes { records.add(outcome) }
        for loaded in set.inForce {
            guard case .fails = records.selfTests[loaded.policy.digest] else {
                Issue.record("\(loaded.policy.name) would be run")
                continue
            }
        }
        #expect(records.records.count == 3)
        try records.hold()
    }

    @Test func whatEverySessionMatchesLeavesNoneForStrict() throws {
        #expect(try Self.policies("name: all\n").inForce.map(\.policy.name) == ["all"])
        #expect(PolicySet().inForce.map(\.policy.name) == ["strict"])
    }

    /// A limit that is not fully in force counts where every layer is required, and is told once.
    @Test func whatIsDegradedIsToldOnceAndHeld() throws {
        let finding = SelfTestReport.Finding("limit_disk", .degraded, "measured")
        let report = SelfTestReport(findings: [SelfTestReport.Finding("user", .holds), finding], milliseconds: 1)
        let loaded = PolicyReader.profile(.strict)
        for isRequired in [false, true] {
            var records = BoundaryRecords(requiresAllLayers: isRequired, logger: Logger(label: "test"))
            for _ in 0..<2 { records.add(PolicySelfTest.Outcome(policies: [loaded], report: .success(report))) }
            #expect(records.selfTests[loaded.policy.digest] == .holds(layersOff: ["limit_disk"]) && records.layersOff.isEmpty)
            // Two tests and one layer.
            #expect(records.records.count == 3)
            if isRequired {
                let error = #expect(throws: SandboxError.self) { try records.hold() }
                #expect(error?.message.contains("limit_disk: measured") == true)
            } else {
                try records.hold()
            }
        }
    }
}
