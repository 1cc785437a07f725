import Glibc
import PosternJSON
import PosternSandboxWire
import Testing

@testable import PosternSandbox

@Suite struct SelfTestTests {
    @Test(arguments: Mode.possible) func findsThatTheSandboxHolds(mode: Mode) async throws {
        let spawner = try await Spawners.of(mode)
        let scratch = try Scratch(mode)
        for workspaceMode in WorkspaceMode.allCases {
            var template = scratch.spec
            template.workspaceMode = workspaceMode
            let bind = scratch.path + "/bind"
            mkdir(bind, 0o755)
            template.binds = [SandboxBind(hostPath: bind, path: "/srv/bind", isWritable: mode == .user)]
            let report = try await SandboxSelfTest(driver: try BubblewrapDriver(spawner: spawner), folder: scratch.path, template: template).run()
            #expect(report.failures.isEmpty, "\(mode) \(workspaceMode): \(report.summary)")
            #expect(report.holds && report.findings.filter { $0.verdict == .holds }.count >= SelfTestScript.boundaries.count + 1)
            #expect(report.json["holds"] == true)
            print("self-test: \(mode) \(workspaceMode): \(report.summary) (\(report.milliseconds) ms)")
        }
        // Nothing is left of it.
        #expect(Files.all(scratch.path).filter { $0.contains("self-test") }.isEmpty)
        await scratch.remove(spawner)
    }

    /// Without a boundary every attack that the test makes is seen to go through: a test that cannot fail would prove nothing.
    @Test func seesThatNothingHoldsWithoutABoundary() async throws {
        let spawner = try await Spawners.of(Mode.possible[0])
        let scratch = try Scratch()
        let report = try await SandboxSelfTest(driver: NoneDriver(spawner: spawner), folder: scratch.path).run()
        let failed = Set(report.failures.map(\.boundary))
        // The file tools keep to their folders by themselves; what the machine has none of (sockets, interfaces) cannot be seen.
        let expected: Set = ["workspace_control", "seccomp", "user_namespaces", "host_files", "host_folders", "host_processes", "set_id", "mounts"]
        #expect(failed.isSuperset(of: expected), "\(report.summary)")
        #expect(!report.holds && report.json["holds"] == false)
        await scratch.remove(spawner)
    }

    @Test func doesNotTakeSilenceForSuccess() {
        let silent = SandboxSelfTest.findings(in: "user\tholds\nnetwork\tcan be reached: eth0\nuser\tlater\n", status: .signalled(9))
        #expect(silent.count == SelfTestScript.boundaries.count)
        #expect(silent.first { $0.boundary == "user" } == .init("user", .holds))
        #expect(silent.first { $0.boundary == "network" } == .init("network", .fails, "can be reached: eth0"))
        #expect(silent.first { $0.boundary == "seccomp" } == .init("seccomp", .fails, "not tested: the test ended with status 137"))
        #expect(!SelfTestReport(findings: [], milliseconds: 0).holds)
    }
}
