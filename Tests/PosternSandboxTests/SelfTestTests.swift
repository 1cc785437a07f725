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
            var shape = SandboxShape()
            shape.workspaceMode = workspaceMode
            let bind = scratch.path + "/bind"
            mkdir(bind, 0o755)
            shape.binds = [SandboxBind(hostPath: bind, path: "/srv/bind", isWritable: mode == .user)]
            let report = try await SandboxSelfTest(driver: try BubblewrapDriver(spawner: spawner), folder: scratch.path, shape: shape).run()
            #expect(report.failures.isEmpty, "\(mode) \(workspaceMode): \(report.summary)")
            #expect(report.holds && report.findings.filter { $0.verdict == .holds }.count >= SelfTestScript.boundaries.count + 1)
            #expect(report.json["holds"] == true)
            print("self-test: \(mode) \(workspaceMode): \(report.summary) (\(report.milliseconds) ms)")
        }
        // Nothing is left of it.
        #expect(Files.all(scratch.path).filter { $0.contains("self-test") }.isEmpty)
        await scratch.remove(spawner)
    }

    /// The rules of a policy for files: what it hides and protects is planted, and attacked in a sandbox of the policy.
    @Test(arguments: Mode.possible, WorkspaceMode.allCases) func attacksTheFileRules(mode: Mode, workspaceMode: WorkspaceMode) async throws {
        let spawner = try await Spawners.of(mode)
        let scratch = try Scratch(mode)
        var shape = SandboxShape()
        shape.workspaceMode = workspaceMode
        shape.hidden = ["**/.env", "**/.config/gh", "**/*.pem", "secrets/**", "with space/*"]
        shape.protected = ["**/.git/hooks", "**/.envrc", ".env", "a?c"]
        shape.limits.cpuPercent = 1
        shape.limits.callTimeoutMilliseconds = 100
        shape.listeners = SandboxListener.transparent
        // Room in a writable tree for what hides in it.
        let bind = scratch.path + "/a bind"
        for folder in [bind, bind + "/sub"] {
            mkdir(folder, 0o755)
            if geteuid() == 0 { chown(folder, Mode.userID, Mode.userID) }
        }
        try Files.write("x", to: bind + "/sub/.env")
        shape.binds = [SandboxBind(hostPath: bind, path: "/srv/a bind", isWritable: true, hidden: ["**/.env"])]
        let driver = try BubblewrapDriver(spawner: spawner)
        let report = try await SandboxSelfTest(driver: driver, folder: scratch.path, shape: shape).run()
        #expect(report.failures.isEmpty, "\(mode) \(workspaceMode): \(report.summary)")
        #expect(report.findings.contains(.init("file_rules", .holds)))
        // The folder of the test is not to be shown by what is tested.
        shape.binds = [SandboxBind(hostPath: scratch.path, path: "/srv/all")]
        let refusal = await #expect(throws: SandboxError.self) { try await SandboxSelfTest(driver: driver, folder: scratch.path, shape: shape).run() }
        #expect(refusal?.message.contains("set TMPDIR to another") == true)
        #expect(Files.all(scratch.path).filter { $0.contains("self-test") }.isEmpty)
        await scratch.remove(spawner)
    }

    /// A sandbox that lets the rules of files go lets every attack on them through.
    @Test func seesThatFileRulesDoNotHold() async throws {
        let spawner = try await Spawners.of(Mode.possible[0])
        let scratch = try Scratch()
        var shape = SandboxShape()
        (shape.hidden, shape.protected) = (["**/.env", "**/.config/gh"], ["**/.git/hooks"])
        let driver = RulelessDriver(driver: try BubblewrapDriver(spawner: spawner))
        let report = try await SandboxSelfTest(driver: driver, folder: scratch.path, shape: shape).run()
        let finding = try #require(report.failures.first { $0.boundary == "file_rules" }, "\(report.summary)")
        for text in ["hidden .env can be read", "hidden .config/gh can be read", "protected .git/hooks can be written", ".config can be moved away"] {
            #expect(finding.detail.contains(text), "\(finding.detail)")
        }
        await scratch.remove(spawner)
    }

    private struct RulelessDriver: SandboxDriver {
        let driver: BubblewrapDriver
        var name: String { driver.name }

        func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
            var spec = spec
            (spec.hidden, spec.protected) = ([], [])
            return try await driver.start(spec)
        }
    }

    @Test func samplesAreWhatPatternsMatch() {
        var shape = SandboxShape()
        shape.hidden = ["**/.env", "a/**/b?.*", "**", "**/.env"]
        shape.protected = [".env", ".git/hooks", ".."]
        let samples = FileRuleSamples(shape)
        #expect(samples.hidden == [".env", "a/bx.x", "x"])
        // `**` hides everything, and hidden wins; nothing is left to be seen.
        #expect(samples.arguments == ["h:.env", "h:a/bx.x", "h:x"])
        shape.hidden = [".env"]
        #expect(FileRuleSamples(shape).arguments == ["c:self-test-control", "h:.env", "p:.git/hooks"])
        #expect(FileRuleSamples(SandboxShape()).arguments.isEmpty)
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
